"""The node over a stand-in for TensorRT: builds do not end, and the GPU cannot compute.

A process that builds says so, with its number.
"""

import sys

import tensorrt_stub

BUILD = (
    "import json, os, time\n"
    "print(json.dumps({'level': 20, 'text': f'begun by {os.getpid()}'}), flush=True)\n"
    "time.sleep(600)"
)

if __name__ == "__main__":
    with tensorrt_stub.installed() as gpu:
        from mafs_ros.engine import building, choose
        from mafs_ros.node import __main__ as program

        gpu.no_kernel = "no kernel image is available"
        building.COMMAND = (sys.executable, "-c", BUILD)
        lacking = choose._lacking
        choose._lacking = lambda name: "" if name == "tensorrt" else lacking(name)
        code = program.main()
    sys.exit(code)
