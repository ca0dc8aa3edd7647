#include "bindings.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>

#include "media/bit_cost.h"
#include "media/error.h"
#include "media/kept_colors.h"
#include "media/log.h"
#include "media/probe.h"
#include "media/read_samples.h"
#include "media/versions.h"
#include "parallel.h"

namespace ov2 {
namespace {

using media::Fault;
using media::Limits;
using media::PacketTable;
using media::VideoError;

template <typename T>
Array<T> to_array(const std::vector<T>& values) {
    return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

template <typename T>
std::vector<T> to_vector(const Array<T>& values, const char* name, py::ssize_t count) {
    require_shape(values, name, {count});
    return std::vector<T>(values.data(), values.data() + count);
}

// Lets Python handle signals and show progress, every 50 ms and where one of `marks`, which rise, is reached,
// from a thread that has released the GIL, and stops work that takes too long.
class Poll {
  public:
    Poll(const std::string& path, const py::dict& limits, py::object progress,
         std::vector<int64_t> marks = {})
        : path_(path),
          seconds_(limits["max_wall_seconds"].cast<double>()),
          start_(std::chrono::steady_clock::now()),
          progress_(std::move(progress)),
          marks_(std::move(marks)) {}

    void operator()(int64_t done) { look(done, done < done_ || passes_mark(done)); }

    // Without news.
    void check() { look(done_, false); }

    // With the GIL held.
    void report(int64_t done) const {
        if (!progress_.is_none()) progress_(done);
    }

  private:
    bool passes_mark(int64_t done) const {
        auto next = std::upper_bound(marks_.begin(), marks_.end(), done_);
        return next != marks_.end() && *next <= done;
    }

    void look(int64_t done, bool at_once) {
        auto now = std::chrono::steady_clock::now();
        if (std::chrono::duration<double>(now - start_).count() > seconds_) {
            throw VideoError(Fault::cancelled,
                             path_ + ": given up, for it took longer than max_wall_seconds");
        }
        if (now - last_ < std::chrono::milliseconds(50) && !at_once) return;
        last_ = now;
        done_ = done;
        py::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        report(done);
    }

    std::string path_;
    double seconds_;
    std::chrono::steady_clock::time_point start_;
    py::object progress_;
    std::vector<int64_t> marks_;
    int64_t done_ = 0;
    std::chrono::steady_clock::time_point last_{};
};

// What Python says about how far a file is trusted; the keys are those that ov2_kernels.limits.native_limits
// sets.
Limits to_limits(const py::dict& given, Poll& poll) {
    Limits limits;
    auto take = [&](const char* name, auto& value) {
        value = given[name].cast<std::remove_reference_t<decltype(value)>>();
    };
    take("containers", limits.containers);
    take("max_source_width", limits.max_source_width);
    take("max_source_height", limits.max_source_height);
    take("max_source_pixels", limits.max_source_pixels);
    take("max_source_frames", limits.max_source_frames);
    take("max_source_seconds", limits.max_source_seconds);
    take("max_file_bytes", limits.max_file_bytes);
    take("max_probe_bytes", limits.max_probe_bytes);
    take("follow_symlinks", limits.follow_symlinks);
    take("salvage", limits.salvage);
    limits.check = [&poll] { poll.check(); };
    limit_allocations(limits);
    return limits;
}

// Text that may hold a file's name, whose bytes need not be UTF-8.
py::object file_system_text(const std::string& text) {
    return py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(text.c_str()));
}

// Does work that touches no Python object; then what libav had to say goes to Python's logging.
template <typename Work>
void without_gil(const std::string& path, Work work) {
    media::Log log;
    std::exception_ptr error;
    {
        py::gil_scoped_release release;
        try {
            work();
        } catch (...) {
            error = std::current_exception();
        }
    }
    std::vector<media::LogLine> lines = log.lines();
    if (!lines.empty()) {
        py::list told;
        for (const media::LogLine& line : lines) {
            told.append(py::make_tuple(line.level, py::bytes(line.text)));
        }
        py::module_::import("ov2_kernels.ffmpeg_log")
            .attr("tell")(file_system_text(path), told, log.dropped());
    }
    if (!error) return;
    try {
        std::rethrow_exception(error);
    } catch (const VideoError& e) {
        std::string text = e.what();
        if (text.rfind(path, 0) == 0) throw;
        throw VideoError(e.fault, path + ": " + text);
    }
}

py::dict probe(const std::string& path, const py::dict& limits) {
    PacketTable table;
    Poll poll(path, limits, py::none());
    Limits how_far = to_limits(limits, poll);
    without_gil(path, [&] { table = media::probe(path, how_far); });
    py::dict result;
    result["size"] = to_array(table.size);
    result["pts"] = to_array(table.pts);
    result["is_key"] = to_array(table.is_key);
    result["decode_index"] = to_array(table.decode_index);
    result["codec"] = table.codec;
    result["container"] = table.container;
    result["coded_width"] = table.width;
    result["coded_height"] = table.height;
    result["rotation"] = table.orientation.rotation();
    result["mirrored"] = table.orientation.mirrored();
    result["time_base"] = py::make_tuple(table.time_base.num, table.time_base.den);
    result["frame_rate"] = py::make_tuple(table.frame_rate.num, table.frame_rate.den);
    result["has_timestamps"] = table.has_timestamps;
    result["missing"] = table.missing;
    return result;
}

PacketTable packet_table(const Array<int64_t>& size, const Array<int64_t>& pts, const Array<uint8_t>& is_key,
                         const Array<int64_t>& decode_index, bool has_timestamps) {
    py::ssize_t rows = size.size();
    PacketTable table;
    table.size = to_vector(size, "size", rows);
    table.pts = to_vector(pts, "pts", rows);
    table.is_key = to_vector(is_key, "is_key", rows);
    table.decode_index = to_vector(decode_index, "decode_index", rows);
    table.has_timestamps = has_timestamps;
    for (int64_t index : table.decode_index) {
        require(index >= 0 && index < (int64_t{1} << 31), "decode_index must lie in [0, 2**31)");
    }
    return table;
}

std::vector<int64_t> increasing_rows(const Array<int64_t>& frame_indices, py::ssize_t rows) {
    std::vector<int64_t> indices = to_vector(frame_indices, "frame_indices", frame_indices.size());
    for (size_t i = 0; i < indices.size(); ++i) {
        require(indices[i] > (i == 0 ? -1 : indices[i - 1]) && indices[i] < rows,
                "frame_indices must be strictly increasing and within the packet table");
    }
    return indices;
}

py::dict read_samples(const std::string& path, const Array<int64_t>& size, const Array<int64_t>& pts,
                      const Array<uint8_t>& is_key, const Array<int64_t>& decode_index, bool has_timestamps,
                      const Array<int64_t>& frame_indices, int height, int width, int threads, int motion,
                      const py::dict& limits, py::object progress, const Array<int64_t>& progress_at,
                      std::optional<Array<uint8_t>> frames, const std::shared_ptr<media::KeptColors>& colors,
                      Array<uint8_t> luma, Array<uint8_t> prev_luma) {
    require(height > 0 && width > 0 && height % 4 == 0 && width % 4 == 0,
            "height and width must be positive multiples of 4");
    require(threads >= 1, "threads must be at least 1");
    py::ssize_t n = frame_indices.size();
    PacketTable table = packet_table(size, pts, is_key, decode_index, has_timestamps);
    media::ReadRequest request;
    request.path = path;
    request.table = &table;
    request.frame_indices = increasing_rows(frame_indices, size.size());
    request.height = height;
    request.width = width;
    request.threads = threads;
    request.motion = static_cast<media::MotionSource>(motion);

    py::ssize_t h = height, w = width;
    require(frames.has_value() != (colors != nullptr), "either frames or colors must be given");
    if (frames) require_shape(*frames, "frames", {n, h, w, 3});
    require(colors == nullptr || (colors->samples() == n && colors->height() == h && colors->width() == w),
            "colors must be those of the samples");
    require_shape(luma, "luma", {n, h, w});
    request.predecessors = n == 0 || prev_luma.ndim() != 3 || prev_luma.shape(0) != 0;
    if (request.predecessors) require_shape(prev_luma, "prev_luma", {n, h, w});
    require(request.predecessors || request.motion == media::MotionSource::none,
            "motion needs the pictures before the samples");
    auto motion_field = py::module_::import("numpy")
                            .attr("zeros")(py::make_tuple(n, h / 4, w / 4, 2), "int16")
                            .cast<Array<int16_t>>();
    Array<int64_t> packet_bytes(n), sample_pts(n), shown(n);
    Array<uint8_t> pict_types(n);
    media::SampleArrays arrays{frames ? frames->mutable_data() : nullptr,
                               colors.get(),
                               luma.mutable_data(),
                               prev_luma.mutable_data(),
                               motion_field.mutable_data(),
                               packet_bytes.mutable_data(),
                               sample_pts.mutable_data(),
                               pict_types.mutable_data(),
                               shown.mutable_data()};
    media::ReadStatistics statistics;
    std::vector<int64_t> marks = to_vector(progress_at, "progress_at", progress_at.size());
    require(std::is_sorted(marks.begin(), marks.end()), "progress_at must not fall");
    Poll poll(path, limits, std::move(progress), std::move(marks));
    request.limits = to_limits(limits, poll);
    request.poll = [&poll](int64_t done) { poll(done); };
    without_gil(path, [&] { statistics = media::read_samples(request, arrays); });
    poll.report(n);
    py::dict result;
    result["motion"] = motion_field;
    result["packet_bytes"] = packet_bytes;
    result["pts"] = sample_pts;
    result["pict_types"] = pict_types;
    result["shown_ids"] = shown;
    result["motion_source"] = static_cast<int>(statistics.motion);
    result["decoded"] = statistics.decoded;
    result["skipped"] = statistics.skipped;
    return result;
}

py::dict bit_cost(const std::string& path, const Array<int64_t>& size, const Array<int64_t>& pts,
                  const Array<uint8_t>& is_key, const Array<int64_t>& decode_index,
                  const Array<int64_t>& frame_indices, int threads, bool whole_bytes,
                  bool run_to_first_skipped, bool terminate_to_nobody, const py::dict& limits,
                  py::object progress) {
    require(threads >= 1, "threads must be at least 1");
    PacketTable table = packet_table(size, pts, is_key, decode_index, true);
    media::BitCostRequest request;
    request.path = path;
    request.table = &table;
    request.frame_indices = increasing_rows(frame_indices, size.size());
    request.threads = threads;
    request.rules = {whole_bytes, run_to_first_skipped, terminate_to_nobody};
    Poll poll(path, limits, std::move(progress));
    request.limits = to_limits(limits, poll);
    request.poll = [&poll](int64_t done) { poll(done); };
    std::vector<bitstream::PictureCost> costs;
    without_gil(path, [&] { costs = media::bit_cost(request); });
    auto n = static_cast<py::ssize_t>(costs.size());
    poll.report(n);

    // All pictures that count have the size of the first.
    bitstream::PictureCost shape;
    for (const bitstream::PictureCost& cost : costs) {
        if (shape.bits.empty()) shape = cost;
    }
    py::ssize_t height = shape.height, width = shape.width;
    Array<int32_t> bits({n, height, width});
    Array<uint8_t> field_pairs({n, height, width}), status(n);
    Array<int64_t> payload_bits(n);
    std::fill_n(bits.mutable_data(), bits.size(), 0);
    std::fill_n(field_pairs.mutable_data(), field_pairs.size(), uint8_t{0});
    py::list slice_types;
    for (py::ssize_t i = 0; i < n; ++i) {
        const bitstream::PictureCost& cost = costs[static_cast<size_t>(i)];
        bool good = cost.status == bitstream::Status::ok;
        bool fits = good && cost.same_shape(shape);
        status.mutable_at(i) = static_cast<uint8_t>(good && !fits ? bitstream::Status::size : cost.status);
        payload_bits.mutable_at(i) = fits ? cost.payload_bits : 0;
        slice_types.append(fits ? cost.slice_types : "");
        if (!fits) continue;
        std::copy(cost.bits.begin(), cost.bits.end(), bits.mutable_data(i));
        std::copy(cost.field_pair.begin(), cost.field_pair.end(), field_pairs.mutable_data(i));
    }
    py::dict result;
    result["bits"] = bits;
    result["field_pairs"] = field_pairs;
    result["status"] = status;
    result["payload_bits"] = payload_bits;
    result["slice_types"] = slice_types;
    result["unit"] = shape.unit;
    result["crop"] = py::make_tuple(shape.crop_left, shape.crop_top, shape.shown_width, shape.shown_height);
    return result;
}

py::dict ffmpeg_versions() {
    py::dict versions;
    for (const auto& [name, version] : media::library_versions()) versions[name.c_str()] = version;
    return versions;
}

const char* type_of(Fault fault) {
    switch (fault) {
        case Fault::not_a_video:
            return "NotAVideoError";
        case Fault::no_video_stream:
            return "NoVideoStreamError";
        case Fault::unsupported:
            return "UnsupportedCodecError";
        case Fault::too_large:
            return "VideoTooLargeError";
        case Fault::cancelled:
            return "VideoCancelledError";
        case Fault::damaged:
            break;
    }
    return "DamagedVideoError";
}

// The fixed mapping of this library's C++ errors to Python's.
void translate(std::exception_ptr error) {
    auto errors = [] { return py::module_::import("ov2_kernels.errors"); };
    try {
        if (error) std::rethrow_exception(error);
    } catch (const media::FileError& e) {
        py::object value = errors().attr("file_error")(e.code, e.what(), file_system_text(e.path));
        PyErr_SetObject(py::type::handle_of(value).ptr(), value.ptr());
    } catch (const VideoError& e) {
        PyErr_SetObject(errors().attr(type_of(e.fault)).ptr(), file_system_text(e.what()).ptr());
    }
}

}  // namespace

void bind_media(py::module_& m) {
    media::Log::install();
    py::register_local_exception_translator(translate);
    m.def("probe", &probe, py::arg("path"), py::arg("limits"));
    m.def("read_samples", &read_samples, py::arg("path"), py::arg("size").noconvert(),
          py::arg("pts").noconvert(), py::arg("is_key").noconvert(), py::arg("decode_index").noconvert(),
          py::arg("has_timestamps"), py::arg("frame_indices").noconvert(), py::arg("height"),
          py::arg("width"), py::arg("threads"), py::arg("motion"), py::arg("limits"), py::arg("progress"),
          py::arg("progress_at").noconvert(), py::arg("frames").noconvert(), py::arg("colors"),
          py::arg("luma").noconvert(), py::arg("prev_luma").noconvert());
    m.def("bit_cost", &bit_cost, py::arg("path"), py::arg("size").noconvert(), py::arg("pts").noconvert(),
          py::arg("is_key").noconvert(), py::arg("decode_index").noconvert(),
          py::arg("frame_indices").noconvert(), py::arg("threads"), py::arg("whole_bytes"),
          py::arg("run_to_first_skipped"), py::arg("terminate_to_nobody"), py::arg("limits"),
          py::arg("progress"));
    bind_kept_colors(m);
    m.def("lower_thread_priority", &lower_thread_priority);
    m.def("ffmpeg_versions", &ffmpeg_versions);
}

}  // namespace ov2
