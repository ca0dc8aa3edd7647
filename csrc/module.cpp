#include "bindings.h"

PYBIND11_MODULE(_core, m) {
    m.doc() = "Native reader and kernels of ov2_kernels; use them through ov2_kernels.ops.";
    ov2::bind_media(m);
    ov2::bind_kernels(m);
}
