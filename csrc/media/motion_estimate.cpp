#include "media/motion_estimate.h"

#include <dlfcn.h>

#include <cstring>
#include <string>

#include "media/error.h"

namespace ov2::media {
namespace {

const char* const kName = "mestimate";

// The file that goes with the headers.
#ifdef __APPLE__
const char* const kLibrary = "libavfilter." AV_STRINGIFY(LIBAVFILTER_VERSION_MAJOR) ".dylib";
#else
const char* const kLibrary = "libavfilter.so." AV_STRINGIFY(LIBAVFILTER_VERSION_MAJOR);
#endif

// libavfilter, loaded when it is first needed: with what it depends on in turn it would double the time that
// importing the extension takes, and most videos bring vectors of their own.
class FilterLibrary {
  public:
    static const FilterLibrary& get() {
        static const FilterLibrary library;
        return library;
    }

    decltype(&avfilter_graph_alloc) graph_alloc =
        load<decltype(&avfilter_graph_alloc)>("avfilter_graph_alloc");
    decltype(&avfilter_graph_free) graph_free = load<decltype(&avfilter_graph_free)>("avfilter_graph_free");
    decltype(&avfilter_graph_config) graph_config =
        load<decltype(&avfilter_graph_config)>("avfilter_graph_config");
    decltype(&avfilter_graph_create_filter) create_filter =
        load<decltype(&avfilter_graph_create_filter)>("avfilter_graph_create_filter");
    decltype(&avfilter_get_by_name) get_by_name =
        load<decltype(&avfilter_get_by_name)>("avfilter_get_by_name");
    decltype(&avfilter_link) link = load<decltype(&avfilter_link)>("avfilter_link");
    decltype(&av_buffersrc_add_frame) add_frame =
        load<decltype(&av_buffersrc_add_frame)>("av_buffersrc_add_frame");
    decltype(&av_buffersink_get_frame) get_frame =
        load<decltype(&av_buffersink_get_frame)>("av_buffersink_get_frame");

  private:
    FilterLibrary() = default;

    template <typename Function>
    static Function load(const char* name) {
        void* symbol = dlsym(handle(), name);
        if (symbol == nullptr)
            throw VideoError(Fault::unsupported, std::string("libavfilter has no ") + name);
        return reinterpret_cast<Function>(symbol);
    }

    static void* handle() {
        static void* const library = [] {
            const std::string name = kLibrary;
            void* found = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
            Dl_info beside{};
            // Not on the loader's path: then where the libavutil in use lies.
            if (found == nullptr && dladdr(reinterpret_cast<void*>(&avutil_version), &beside) != 0) {
                std::string folder(beside.dli_fname);
                found =
                    dlopen((folder.substr(0, folder.rfind('/') + 1) + name).c_str(), RTLD_NOW | RTLD_LOCAL);
            }
            if (found == nullptr) {
                throw VideoError(Fault::unsupported, name +
                                                         " cannot be loaded, so motion cannot be estimated; "
                                                         "motion_source=\"none\" does without");
            }
            return found;
        }();
        return library;
    }
};

}  // namespace

void FreeFilterGraph::operator()(AVFilterGraph* graph) const {
    FilterLibrary::get().graph_free(&graph);
}

MotionEstimator::MotionEstimator(int width, int height)
    : width_(width),
      height_(height),
      field_(width, height, Orientation{}),
      sides_(static_cast<size_t>(field_.cells())),
      graph_(FilterLibrary::get().graph_alloc()) {
    if (!graph_) throw std::bad_alloc();
    const FilterLibrary& av = FilterLibrary::get();
    graph_->nb_threads = 1;
    const AVFilter* matcher = av.get_by_name("mestimate");
    if (matcher == nullptr)
        throw VideoError(Fault::unsupported, "this libavfilter has no mestimate; use motion_source=\"none\"");
    std::string format = "video_size=" + std::to_string(width) + "x" + std::to_string(height) +
                         ":pix_fmt=gray:time_base=1/1:pixel_aspect=1/1";
    AVFilterContext* filter = nullptr;
    check(av.create_filter(&source_, av.get_by_name("buffer"), "in", format.c_str(), nullptr, graph_.get()),
          kName, "take pictures");
    check(av.create_filter(&filter, matcher, "match", "method=tss:mb_size=16:search_param=16", nullptr,
                           graph_.get()),
          kName, "start");
    check(av.create_filter(&sink_, av.get_by_name("buffersink"), "out", nullptr, nullptr, graph_.get()),
          kName, "hand out vectors");
    check(av.link(source_, 0, filter, 0), kName, "link");
    check(av.link(filter, 0, sink_, 0), kName, "link");
    check(av.graph_config(graph_.get(), nullptr), kName, "configure");
}

void MotionEstimator::push(const uint8_t* plane) {
    FramePtr frame(av_frame_alloc());
    if (!frame) throw std::bad_alloc();
    frame->format = AV_PIX_FMT_GRAY8;
    frame->width = width_;
    frame->height = height_;
    frame->pts = pushed_++;
    check(av_frame_get_buffer(frame.get(), 0), kName, "allocate a picture");
    for (int y = 0; y < height_; ++y) {
        std::memcpy(frame->data[0] + int64_t{y} * frame->linesize[0], plane + int64_t{y} * width_,
                    static_cast<size_t>(width_));
    }
    check(FilterLibrary::get().add_frame(source_, frame.get()), kName, "match blocks");
}

void MotionEstimator::estimate(const uint8_t* luma, const uint8_t* previous, int16_t* vectors) {
    // The filter answers for a picture once its successor is there, so the picture is its own successor: the
    // search towards that one ends at once.
    push(previous);
    push(luma);
    push(luma);
    FramePtr frame(av_frame_alloc());
    bool found = false;
    while (FilterLibrary::get().get_frame(sink_, frame.get()) >= 0) {
        const AVFrameSideData* side = av_frame_get_side_data(frame.get(), AV_FRAME_DATA_MOTION_VECTORS);
        if (frame->pts == pushed_ - 2 && side != nullptr) {
            std::vector<AVMotionVector> list(side->size / sizeof(AVMotionVector));
            std::memcpy(list.data(), side->data, list.size() * sizeof(AVMotionVector));
            size_t kept = 0;
            for (const AVMotionVector& mv : list) {
                if (mv.source >= 0) continue;
                // mestimate writes whole-pixel positions and leaves the motion fields unset.
                AVMotionVector past = mv;
                past.motion_x = mv.src_x - mv.dst_x;
                past.motion_y = mv.src_y - mv.dst_y;
                past.motion_scale = 1;
                list[kept++] = past;
            }
            std::fill(sides_.begin(), sides_.end(), Side::none);
            field_.rasterize(list.data(), kept, width_, height_, vectors, sides_.data());
            field_.normalize(width_, height_, 1, 1, vectors, sides_.data());
            found = true;
        }
        av_frame_unref(frame.get());
    }
    if (!found) throw VideoError(Fault::damaged, "mestimate: no vectors came back");
}

}  // namespace ov2::media
