// Colours kept until it is known which parts of them are wanted, from Python.
#include <memory>
#include <utility>

#include "bindings.h"
#include "media/kept_colors.h"
#include "parallel.h"

namespace ov2 {
namespace {

std::shared_ptr<media::KeptColors> new_colors(int64_t samples, int height, int width) {
    require(samples >= 0 && height > 0 && width > 0, "samples, height and width must be positive");
    return std::make_shared<media::KeptColors>(samples, width, height);
}

void release_colors(media::KeptColors& colors, int64_t begin, int64_t end) {
    if (begin < 0 || begin > end || end > colors.samples()) throw py::value_error("no such samples");
    colors.release(begin, end);
}

void require_luma(const media::KeptColors& colors, const Array<uint8_t>& luma) {
    require_shape(luma, "luma", {colors.samples(), colors.height(), colors.width()});
}

Array<uint8_t> converted_frames(const media::KeptColors& colors, const Array<uint8_t>& luma, int threads) {
    require_luma(colors, luma);
    int64_t height = colors.height(), width = colors.width();
    Array<uint8_t> frames({colors.samples(), height, width, int64_t{3}});
    const uint8_t* from = luma.data();
    uint8_t* to = frames.mutable_data();
    {
        py::gil_scoped_release release;
        parallel_for(colors.samples(), threads, [&](int64_t i) {
            colors.convert({i, from, {0, 0, width, height}}, to + 3 * i * height * width);
        });
    }
    return frames;
}

// Blocks of samples whose colours are kept.
class ColorBlocks final : public kernels::BlockSource {
  public:
    ColorBlocks(const kernels::Geometry& g, const media::KeptColors& colors, const uint8_t* luma)
        : g_(g), colors_(colors), luma_(luma) {}
    void copy(const kernels::BlockRun& run, const kernels::BlockRun& next, uint8_t* to) const override {
        const media::KeptColors::Part ahead = part(next);
        colors_.convert(part(run), to, next.count > 0 ? &ahead : nullptr);
    }

  private:
    media::KeptColors::Part part(const kernels::BlockRun& run) const {
        const int64_t side = g_.block();
        return {run.sample, luma_, {run.x * side, run.y * side, run.count * side, side}};
    }
    const kernels::Geometry g_;
    const media::KeptColors& colors_;
    const uint8_t* luma_;
};

void convert_canvases(const media::KeptColors& colors, const Array<uint8_t>& luma,
                      const Array<int64_t>& selected, const Array<int64_t>& frame_ids, int64_t patch,
                      int threads, Array<uint8_t> canvases, Array<int32_t> positions) {
    require_luma(colors, luma);
    kernels::Geometry g = geometry(luma, patch);
    ColorBlocks source(g, colors, luma.data());
    pack_into(g, selected, frame_ids, threads, source, std::move(canvases), std::move(positions));
}

void release_pictures(Array<uint8_t> planes, int64_t begin, int64_t end) {
    require(planes.ndim() == 3 && begin >= 0 && begin <= end && end <= planes.shape(0), "no such pictures");
    int64_t pixels = planes.shape(1) * planes.shape(2);
    uint8_t* data = planes.mutable_data();
    py::gil_scoped_release release;
    media::release_pages(data, data + begin * pixels, data + end * pixels, data + planes.size());
}

}  // namespace

void bind_kept_colors(py::module_& m) {
    py::class_<media::KeptColors, std::shared_ptr<media::KeptColors>>(m, "KeptColors")
        .def(py::init(&new_colors), py::arg("samples"), py::arg("height"), py::arg("width"))
        .def("frames", &converted_frames, py::arg("luma").noconvert(), py::arg("threads"))
        .def("release", &release_colors, py::arg("begin"), py::arg("end"))
        .def("pack_canvases", &convert_canvases, py::arg("luma").noconvert(), py::arg("selected").noconvert(),
             py::arg("frame_ids").noconvert(), py::arg("patch"), py::arg("threads"),
             py::arg("canvases").noconvert(), py::arg("positions").noconvert());
    m.def("release_pictures", &release_pictures, py::arg("planes").noconvert(), py::arg("begin"),
          py::arg("end"));
}

}  // namespace ov2
