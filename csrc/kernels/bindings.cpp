#include "bindings.h"

#include <memory>

#include "kernels/bad_frames.h"
#include "kernels/block_bits.h"
#include "kernels/block_energies.h"
#include "kernels/change_scores.h"
#include "kernels/fuse_scores.h"
#include "kernels/pack_canvases.h"
#include "kernels/pack_pixel_values.h"
#include "kernels/partition_groups.h"
#include "kernels/sample_frames.h"
#include "kernels/select_blocks.h"

namespace ov2 {
namespace {

using kernels::Geometry;

void require_edges(const Array<int64_t>& edges, int64_t samples) {
    require(
        edges.ndim() == 1 && edges.size() >= 2 && edges.at(0) == 0 && edges.at(edges.size() - 1) == samples,
        "group_edges must run from 0 to the number of samples");
    for (py::ssize_t i = 1; i < edges.size(); ++i) {
        require(edges.at(i) > edges.at(i - 1), "group_edges must be strictly increasing");
    }
}

void require_selected(const Array<int64_t>& selected, const Geometry& g) {
    require(selected.ndim() == 2 && selected.shape(1) == g.blocks(), "selected must be [C, blocks]");
    const int64_t* index = selected.data();
    for (py::ssize_t i = 0; i < selected.size(); ++i) {
        require(index[i] >= 0 && index[i] < g.frames * g.blocks(), "selected must lie in [0, N * blocks)");
    }
}

py::tuple sample_frames(const Array<int64_t>& size, const Array<int64_t>& pts, const Array<uint8_t>& is_key,
                        const Array<int64_t>& decode_index, int64_t time_base_num, int64_t time_base_den,
                        int64_t max_samples, int sampling, bool avoid_keyframes, double start_time,
                        double end_time, double sample_fps) {
    py::ssize_t frames = size.size();
    require_shape(pts, "pts", {frames});
    require_shape(is_key, "is_key", {frames});
    require_shape(decode_index, "decode_index", {frames});
    require(frames >= 1 && max_samples >= 1 && time_base_den > 0,
            "the packet table and max_samples must not be empty");
    kernels::SampleRequest request{size.data(),         pts.data(),  is_key.data(),
                                   decode_index.data(), frames,      time_base_num,
                                   time_base_den,       max_samples, static_cast<kernels::Sampling>(sampling),
                                   avoid_keyframes,     start_time,  end_time,
                                   sample_fps};
    kernels::SampledFrames result;
    {
        py::gil_scoped_release release;
        result = kernels::sample_frames(request);
    }
    return py::make_tuple(
        Array<int64_t>(static_cast<py::ssize_t>(result.frame_ids.size()), result.frame_ids.data()),
        result.range_start);
}

Array<int64_t> partition_groups(const Array<int64_t>& size, const Array<uint8_t>& is_key,
                                const Array<int64_t>& frame_ids, int64_t range_start, int partition,
                                int64_t max_groups, int64_t group_size, int64_t min_group_frames,
                                int64_t max_group_frames) {
    require_shape(is_key, "is_key", {size.size()});
    require(range_start >= 0, "range_start must not be negative");
    require(frame_ids.ndim() == 1 && frame_ids.size() >= 1, "frame_ids must be [N] with N at least 1");
    for (py::ssize_t i = 0; i < frame_ids.size(); ++i) {
        require(
            frame_ids.at(i) >= (i ? frame_ids.at(i - 1) + 1 : range_start) && frame_ids.at(i) < size.size(),
            "frame_ids must be strictly increasing and within the packet table");
    }
    require(
        max_groups >= 1 && group_size >= 1 && min_group_frames >= 1 && max_group_frames >= min_group_frames,
        "the limits of a group must be positive and in order");
    kernels::PartitionRequest request{size.data(),      is_key.data(),
                                      frame_ids.data(), frame_ids.size(),
                                      range_start,      static_cast<kernels::Partition>(partition),
                                      max_groups,       group_size,
                                      min_group_frames, max_group_frames};
    std::vector<int64_t> edges;
    {
        py::gil_scoped_release release;
        edges = kernels::partition_groups(request);
    }
    return Array<int64_t>(static_cast<py::ssize_t>(edges.size()), edges.data());
}

py::tuple block_energies(const Array<uint8_t>& luma, const Array<uint8_t>& prev_luma,
                         const Array<int16_t>& motion, const Array<int64_t>& packet_bytes, int64_t patch,
                         int threads, int instructions) {
    Geometry g = geometry(luma, patch);
    require_shape(luma, "luma", {g.frames, g.height, g.width});
    require_shape(prev_luma, "prev_luma", {g.frames, g.height, g.width});
    require_shape(motion, "motion", {g.frames, g.cells_y(), g.cells_x(), 2});
    require_shape(packet_bytes, "packet_bytes", {g.frames});
    std::vector<py::ssize_t> shape{g.frames, g.blocks_y(), g.blocks_x()};
    Array<int32_t> residual(shape), motion_energy(shape);
    Array<int64_t> bits(shape);
    int32_t* residual_data = residual.mutable_data();
    int32_t* motion_data = motion_energy.mutable_data();
    int64_t* bits_data = bits.mutable_data();
    {
        py::gil_scoped_release release;
        kernels::block_energies(g, luma.data(), prev_luma.data(), motion.data(), packet_bytes.data(), threads,
                                static_cast<kernels::Instructions>(instructions), residual_data, motion_data,
                                bits_data);
    }
    return py::make_tuple(residual, motion_energy, bits);
}

Array<int64_t> block_bits(const Array<int64_t>& cells, const Array<int64_t>& edges_y,
                          const Array<int64_t>& edges_x, int64_t height, int64_t width, int64_t patch,
                          int threads) {
    require(cells.ndim() == 3, "cells must be [N, rows, columns]");
    py::ssize_t frames = cells.shape(0), rows = cells.shape(1), columns = cells.shape(2);
    require_shape(edges_y, "edges_y", {rows + 1});
    require_shape(edges_x, "edges_x", {columns + 1});
    for (const Array<int64_t>* edges : {&edges_y, &edges_x}) {
        for (py::ssize_t i = 0; i < edges->size(); ++i) {
            require(edges->at(i) >= (i == 0 ? 0 : edges->at(i - 1)) && edges->at(i) < (int64_t{1} << 20),
                    "edges must not fall, and lie in [0, 2**20)");
        }
        require(edges->at(0) == 0 && edges->at(edges->size() - 1) > 0, "edges must begin with 0 and rise");
    }
    Geometry g{frames, height, width, patch};
    require(patch > 0 && patch % 2 == 0 && height > 0 && width > 0 && height % g.block() == 0 &&
                width % g.block() == 0,
            "height and width must be multiples of 2 * patch");
    Array<int64_t> bits({frames, py::ssize_t{g.blocks_y()}, py::ssize_t{g.blocks_x()}});
    int64_t* data = bits.mutable_data();
    {
        py::gil_scoped_release release;
        kernels::block_bits(g, cells.data(), {edges_y.data(), rows}, {edges_x.data(), columns}, threads,
                            data);
    }
    return bits;
}

Array<int32_t> change_scores(const Array<uint8_t>& luma, const Array<uint8_t>& prev_luma,
                             const Array<int64_t>& group_edges, int64_t patch, int threads) {
    Geometry g = geometry(luma, patch);
    require_shape(luma, "luma", {g.frames, g.height, g.width});
    require_shape(prev_luma, "prev_luma", {g.frames, g.height, g.width});
    require_edges(group_edges, g.frames);
    Array<int32_t> scores(std::vector<py::ssize_t>{g.frames, g.blocks_y(), g.blocks_x()});
    int32_t* data = scores.mutable_data();
    {
        py::gil_scoped_release release;
        kernels::change_scores(g, luma.data(), prev_luma.data(), group_edges.data(), group_edges.size() - 1,
                               threads, data);
    }
    return scores;
}

std::unique_ptr<kernels::Changes> new_changes(int64_t samples, int64_t height, int64_t width, int64_t patch,
                                              const Array<int64_t>& group_edges) {
    require(samples >= 1 && patch > 0 && patch % 2 == 0 && height > 0 && width > 0 &&
                height % (2 * patch) == 0 && width % (2 * patch) == 0,
            "height and width must be multiples of 2 * patch");
    require_edges(group_edges, samples);
    Geometry g{samples, height, width, patch};
    return std::make_unique<kernels::Changes>(g, group_edges.data(), group_edges.size() - 1);
}

void measure_changes(kernels::Changes& changes, const Array<uint8_t>& luma, const Array<uint8_t>& prev_luma,
                     int64_t first, int64_t end, int threads) {
    const Geometry& g = changes.geometry();
    require_shape(luma, "luma", {g.frames, g.height, g.width});
    require_shape(prev_luma, "prev_luma", {g.frames, g.height, g.width});
    require(first >= 0 && first <= end && end <= g.frames, "no such samples");
    py::gil_scoped_release release;
    changes.measure(luma.data(), prev_luma.data(), first, end, threads);
}

Array<int32_t> scores_of_changes(const kernels::Changes& changes, int64_t first_group, int64_t end_group,
                                 int threads) {
    const Geometry& g = changes.geometry();
    const std::vector<int64_t>& edges = changes.group_edges();
    require(first_group >= 0 && first_group <= end_group && end_group < static_cast<int64_t>(edges.size()),
            "no such groups");
    int64_t samples = edges[static_cast<size_t>(end_group)] - edges[static_cast<size_t>(first_group)];
    Array<int32_t> scores(std::vector<py::ssize_t>{samples, g.blocks_y(), g.blocks_x()});
    int32_t* data = scores.mutable_data();
    {
        py::gil_scoped_release release;
        changes.scores(first_group, end_group, threads, data);
    }
    return scores;
}

Array<int32_t> fuse_scores(const Array<int32_t>& residual, const Array<int32_t>& motion_energy,
                           const Array<int64_t>& bits, const Array<int64_t>& group_edges,
                           int64_t motion_weight, int64_t residual_weight, int64_t bits_weight, int64_t patch,
                           int threads) {
    require(residual.ndim() == 3, "residual must be [N, hb, wb]");
    std::vector<py::ssize_t> shape(residual.shape(), residual.shape() + 3);
    require_shape(motion_energy, "motion_energy", shape);
    require_shape(bits, "bits", shape);
    require_edges(group_edges, shape[0]);
    require(motion_weight >= 0 && residual_weight >= 0 && bits_weight >= 0 &&
                motion_weight + residual_weight + bits_weight <= 32767,
            "weights must not be negative, nor sum to more than 32767");
    Array<int32_t> scores(shape);
    int32_t* data = scores.mutable_data();
    {
        py::gil_scoped_release release;
        kernels::fuse_scores(residual.data(), motion_energy.data(), bits.data(), shape[1] * shape[2],
                             group_edges.data(), group_edges.size() - 1,
                             {motion_weight, residual_weight, bits_weight}, patch, threads, data);
    }
    return scores;
}

Array<int64_t> select_blocks(const Array<int32_t>& scores, const Array<int64_t>& group_edges,
                             const Array<int32_t>& attenuation, int64_t images_per_group, bool global,
                             int threads) {
    require(scores.ndim() == 3, "scores must be [N, hb, wb]");
    py::ssize_t blocks = scores.shape(1) * scores.shape(2);
    require(blocks > 0, "scores must hold at least one block");
    require_shape(attenuation, "attenuation", {blocks});
    require_edges(group_edges, scores.shape(0));
    require(images_per_group >= 1, "images_per_group must be at least 1");
    int64_t groups = group_edges.size() - 1;
    int64_t canvases = 0;
    for (int64_t k = 0; k < groups; ++k) {
        canvases += kernels::canvases_in_group(group_edges.at(k + 1) - group_edges.at(k), images_per_group);
    }
    Array<int64_t> selected({static_cast<py::ssize_t>(canvases), blocks});
    int64_t* data = selected.mutable_data();
    {
        py::gil_scoped_release release;
        kernels::select_blocks(scores.data(), blocks, group_edges.data(), groups, attenuation.data(),
                               images_per_group, global, threads, data);
    }
    return selected;
}

Array<uint8_t> bad_frames(const Array<uint8_t>& frames, int threads) {
    require(frames.ndim() == 4 && frames.shape(3) == 3, "frames must be [N, H, W, 3]");
    Geometry g{frames.shape(0), frames.shape(1), frames.shape(2), 2};
    require(g.pixels() < (int64_t{1} << 23), "frames must have less than 2**23 pixels");
    Array<uint8_t> bad(frames.shape(0));
    uint8_t* data = bad.mutable_data();
    {
        py::gil_scoped_release release;
        kernels::bad_frames(g, frames.data(), threads, data);
    }
    return bad;
}

void pack_canvases(const Array<uint8_t>& frames, const Array<int64_t>& selected,
                   const Array<int64_t>& frame_ids, int64_t patch, int threads, Array<uint8_t> canvases,
                   Array<int32_t> positions) {
    Geometry g = geometry(frames, patch);
    require_shape(frames, "frames", {g.frames, g.height, g.width, 3});
    pack_into(g, selected, frame_ids, threads, kernels::FrameBlocks(g, frames.data()), std::move(canvases),
              std::move(positions));
}

template <typename Value>
py::tuple pack_pixel_values(const Array<uint8_t>& frames, const Array<int64_t>& selected,
                            const Array<int64_t>& frame_ids, const Array<Value>& table, int64_t patch,
                            int threads) {
    Geometry g = geometry(frames, patch);
    require_shape(frames, "frames", {g.frames, g.height, g.width, 3});
    require_shape(frame_ids, "frame_ids", {g.frames});
    require_shape(table, "table", {3, 256});
    require_selected(selected, g);
    py::ssize_t patches = selected.size() * 4;
    Array<Value> values({patches, py::ssize_t{3 * patch * patch}});
    Array<int64_t> positions({patches, py::ssize_t{3}});
    Value* value_data = values.mutable_data();
    int64_t* position_data = positions.mutable_data();
    {
        py::gil_scoped_release release;
        kernels::pack_pixel_values<Value>(g, frames.data(), selected.data(), selected.shape(0),
                                          frame_ids.data(), table.data(), threads, value_data, position_data);
    }
    return py::make_tuple(values, positions);
}

}  // namespace

Geometry geometry(const py::array& planes, int64_t patch) {
    require(planes.ndim() >= 3, "pictures must be [N, H, W] or [N, H, W, 3]");
    Geometry g{planes.shape(0), planes.shape(1), planes.shape(2), patch};
    require(patch >= 2 && patch <= 256 && patch % 2 == 0, "patch must be even and from 2 to 256");
    require(g.height > 0 && g.width > 0 && g.height % g.block() == 0 && g.width % g.block() == 0,
            "height and width must be multiples of 2 * patch");
    return g;
}

void pack_into(const Geometry& g, const Array<int64_t>& selected, const Array<int64_t>& frame_ids,
               int threads, const kernels::BlockSource& source, Array<uint8_t> canvases,
               Array<int32_t> positions) {
    require_shape(frame_ids, "frame_ids", {g.frames});
    require_selected(selected, g);
    py::ssize_t count = selected.shape(0);
    require_shape(canvases, "canvases", {count, g.height, g.width, 3});
    require_shape(positions, "positions", {count * 4 * g.blocks(), 3});
    uint8_t* canvas_data = canvases.mutable_data();
    int32_t* position_data = positions.mutable_data();
    py::gil_scoped_release release;
    kernels::pack_canvases(g, source, selected.data(), count, frame_ids.data(), threads, canvas_data,
                           position_data);
}

void bind_kernels(py::module_& m) {
    m.def("sample_frames", &sample_frames, py::arg("size").noconvert(), py::arg("pts").noconvert(),
          py::arg("is_key").noconvert(), py::arg("decode_index").noconvert(), py::arg("time_base_num"),
          py::arg("time_base_den"), py::arg("max_samples"), py::arg("sampling"), py::arg("avoid_keyframes"),
          py::arg("start_time"), py::arg("end_time"), py::arg("sample_fps"));
    m.def("partition_groups", &partition_groups, py::arg("size").noconvert(), py::arg("is_key").noconvert(),
          py::arg("frame_ids").noconvert(), py::arg("range_start"), py::arg("partition"),
          py::arg("max_groups"), py::arg("group_size"), py::arg("min_group_frames"),
          py::arg("max_group_frames"));
    m.def("block_energies", &block_energies, py::arg("luma").noconvert(), py::arg("prev_luma").noconvert(),
          py::arg("motion").noconvert(), py::arg("packet_bytes").noconvert(), py::arg("patch"),
          py::arg("threads"), py::arg("instructions") = static_cast<int>(kernels::quickest_instructions()));
    m.def("block_bits", &block_bits, py::arg("cells").noconvert(), py::arg("edges_y").noconvert(),
          py::arg("edges_x").noconvert(), py::arg("height"), py::arg("width"), py::arg("patch"),
          py::arg("threads"));
    m.def("change_scores", &change_scores, py::arg("luma").noconvert(), py::arg("prev_luma").noconvert(),
          py::arg("group_edges").noconvert(), py::arg("patch"), py::arg("threads"));
    py::class_<kernels::Changes>(m, "Changes")
        .def(py::init(&new_changes), py::arg("samples"), py::arg("height"), py::arg("width"),
             py::arg("patch"), py::arg("group_edges").noconvert())
        .def("measure", &measure_changes, py::arg("luma").noconvert(), py::arg("prev_luma").noconvert(),
             py::arg("first"), py::arg("end"), py::arg("threads"))
        .def("scores", &scores_of_changes, py::arg("first_group"), py::arg("end_group"), py::arg("threads"));
    m.def("fuse_scores", &fuse_scores, py::arg("residual").noconvert(), py::arg("motion_energy").noconvert(),
          py::arg("bits").noconvert(), py::arg("group_edges").noconvert(), py::arg("motion_weight"),
          py::arg("residual_weight"), py::arg("bits_weight"), py::arg("patch"), py::arg("threads"));
    m.def("select_blocks", &select_blocks, py::arg("scores").noconvert(), py::arg("group_edges").noconvert(),
          py::arg("attenuation").noconvert(), py::arg("images_per_group"), py::arg("global_"),
          py::arg("threads"));
    m.def("bad_frames", &bad_frames, py::arg("frames").noconvert(), py::arg("threads"));
    m.def("pack_canvases", &pack_canvases, py::arg("frames").noconvert(), py::arg("selected").noconvert(),
          py::arg("frame_ids").noconvert(), py::arg("patch"), py::arg("threads"),
          py::arg("canvases").noconvert(), py::arg("positions").noconvert());
    m.def("pack_pixel_values", &pack_pixel_values<uint16_t>, py::arg("frames").noconvert(),
          py::arg("selected").noconvert(), py::arg("frame_ids").noconvert(), py::arg("table").noconvert(),
          py::arg("patch"), py::arg("threads"));
    m.def("pack_pixel_values", &pack_pixel_values<uint32_t>, py::arg("frames").noconvert(),
          py::arg("selected").noconvert(), py::arg("frame_ids").noconvert(), py::arg("table").noconvert(),
          py::arg("patch"), py::arg("threads"));
}

}  // namespace ov2
