// What every binding shares: typed C-contiguous arrays and the checks that make a raw pointer safe.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "kernels/pack_canvases.h"

namespace ov2 {

namespace py = pybind11;

template <typename T>
using Array = py::array_t<T, py::array::c_style>;

inline std::string shape_text(const std::vector<py::ssize_t>& shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

inline void require_shape(const py::array& array, const char* name, std::vector<py::ssize_t> expected) {
    std::vector<py::ssize_t> got(array.shape(), array.shape() + array.ndim());
    if (got != expected) {
        throw py::value_error(std::string(name) + " must have the shape " + shape_text(expected) + ", got " +
                              shape_text(got));
    }
}

inline void require(bool holds, const char* sentence) {
    if (!holds) throw py::value_error(sentence);
}

// Pictures [N, H, W, ...] made of whole blocks; an error where they are not.
kernels::Geometry geometry(const py::array& planes, int64_t patch);

// Writes canvases [C, H, W, 3] and positions [C * hp * wp, 3] of the selected blocks.
void pack_into(const kernels::Geometry& g, const Array<int64_t>& selected, const Array<int64_t>& frame_ids,
               int threads, const kernels::BlockSource& source, Array<uint8_t> canvases,
               Array<int32_t> positions);

void bind_media(py::module_& m);
void bind_kept_colors(py::module_& m);
void bind_kernels(py::module_& m);

}  // namespace ov2
