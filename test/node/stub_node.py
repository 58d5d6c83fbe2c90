"""The node with backend tensorrt, over a stand-in for it: stub_node.py COMMAND ARGUMENTS.

COMMAND: in place of the process that builds, Python's -c.
"""

import sys

import tensorrt_stub

if __name__ == "__main__":
    with tensorrt_stub.installed():
        from mafs_ros.base.resources import default_weights
        from mafs_ros.engine import building, choose
        from mafs_ros.node import __main__ as program

        building.COMMAND = (sys.executable, "-c", sys.argv[1])
        version = choose._version
        choose._version = lambda name: "10.3.0" if name == "tensorrt" else version(name)
        assert default_weights().is_file()
        code = program.main([sys.argv[0], *sys.argv[2:]])
    sys.exit(code)
