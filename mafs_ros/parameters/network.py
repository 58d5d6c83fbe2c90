"""The parameters of the network and its engine: a part of the table."""

from mafs_ros.base.backend_names import ALL_PRECISIONS, BACKENDS, CACHE_MB
from mafs_ros.parameters.parameter import Parameter

NETWORK: tuple[Parameter, ...] = (
    Parameter(
        "weights", "", "Model file (.safetensors). Empty: the one shipped here.", shared=True
    ),
    Parameter(
        "backend",
        "auto",
        "Engine that runs the network. auto: torch where there is a GPU that "
        "computes, else openvino where it is installed. tensorrt has to be asked for.",
        choices=("auto", *BACKENDS),
        shared=True,
    ),
    Parameter(
        "precision",
        "auto",
        "Arithmetic of the engine; a backend that lacks it lists those "
        "it has. auto: the choice of the backend.",
        choices=("auto", *ALL_PRECISIONS),
        shared=True,
    ),
    Parameter(
        "threads",
        0,
        "CPU threads of the engine. 0: the engine chooses.",
        low=0,
        high=1024,
        shared=True,
    ),
    Parameter(
        "workspace_mb",
        0,
        "Memory in MiB that an engine of tensorrt may work in; what is less than the fastest "
        "kernels want gives slower ones. 0: TensorRT's choice, up to all that the GPU has.",
        low=0,
        high=1 << 20,
        shared=True,
    ),
    Parameter(
        "cache_dir",
        "auto",
        "Folder for compiled engines, so that the next start is fast. auto: mafs_ros below "
        "$XDG_CACHE_HOME or ~/.cache. Empty: none. Not used where other users can write to it: an "
        "engine is code that is run.",
        shared=True,
    ),
    Parameter(
        "cache_mb",
        CACHE_MB,
        "Megabytes that cache_dir may hold. After a build the engines used longest ago are "
        "removed, those in use never. 0: nothing is removed.",
        low=0,
        high=100000,
        shared=True,
    ),
    Parameter(
        "image_height",
        0,
        "Height of the RGB images in pixels, to compile the engine before activation. "
        "0: compile when the first image comes.",
        low=0,
        high=16384,
    ),
    Parameter(
        "image_width", 0, "Width of the RGB images; 0 as with image_height.", low=0, high=16384
    ),
)
