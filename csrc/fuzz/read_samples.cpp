// libFuzzer target for the reader: container bytes in memory are probed, sampled and parsed for bits. The
// last byte chooses what is asked for, the rest is the file. Only what stands in csrc/ is instrumented;
// FFmpeg is the system's.
#include "media/read_samples.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "media/bit_cost.h"
#include "media/error.h"
#include "media/libav.h"

namespace {

using namespace ov2::media;

constexpr int kHeight = 32, kWidth = 48;
constexpr size_t kMostSamples = 5;

Limits small_limits(uint8_t choice) {
    Limits limits;
    limits.containers =
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,m4v,h263,h264,hevc,av1,obu,ivf,"
        "ogg,asf,"
        "mjpeg,gif,apng";
    limits.max_source_width = limits.max_source_height = 1024;
    limits.max_source_pixels = 512 * 512;
    limits.max_source_frames = 200;
    limits.max_source_seconds = 1e6;
    limits.max_file_bytes = limits.max_probe_bytes = 1 << 20;
    limits.follow_symlinks = true;  // as a file in memory is named by one
    limits.salvage = (choice & 32) != 0;
    limits.check = [] {};
    return limits;
}

// A file without a name, in memory.
class MemoryFile {
  public:
    MemoryFile(const uint8_t* data, size_t size) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
        if (fd_ < 0 || write(fd_, data, size) != static_cast<ssize_t>(size)) std::abort();
    }
    ~MemoryFile() { close(fd_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

  private:
    int fd_;
};

void require(bool holds) {
    if (!holds) std::abort();
}

// Every row of the table is as the callers of a probe rely on.
void check_table(const PacketTable& table) {
    size_t rows = table.size.size();
    require(rows > 0 && table.pts.size() == rows && table.is_key.size() == rows &&
            table.decode_index.size() == rows);
    require(table.width > 0 && table.height > 0 && table.time_base.den > 0 && table.frame_rate.den > 0);
    for (size_t i = 0; i < rows; ++i) {
        require(table.size[i] > 0 && table.decode_index[i] >= 0);
        require(i == 0 || table.pts[i - 1] <= table.pts[i]);
    }
}

void read(const std::string& path, const PacketTable& table, const Limits& limits, uint8_t choice) {
    ReadRequest request;
    request.limits = limits;
    request.path = path;
    request.table = &table;
    size_t step = std::max<size_t>(1, table.size.size() / kMostSamples);
    for (size_t row = choice & 1; row < table.size.size() && request.frame_indices.size() < kMostSamples;
         row += step) {
        request.frame_indices.push_back(static_cast<int64_t>(row));
    }
    size_t n = request.frame_indices.size();
    request.height = kHeight;
    request.width = kWidth;
    request.threads = (choice & 2) != 0 ? 3 : 1;
    request.predecessors = (choice & 4) == 0;
    static constexpr MotionSource kSources[] = {MotionSource::codec, MotionSource::codec,
                                                MotionSource::estimated, MotionSource::none};
    request.motion = request.predecessors ? kSources[(choice >> 3) & 3] : MotionSource::none;
    request.poll = [n](int64_t done) { require(done >= 0 && done <= static_cast<int64_t>(n)); };

    constexpr size_t plane = kHeight * kWidth;
    std::vector<uint8_t> frames(3 * plane * n), luma(plane * n),
        prev_luma(request.predecessors ? plane * n : 0);
    std::vector<int16_t> motion(plane / 8 * n);
    std::vector<int64_t> packet_bytes(n), pts(n), shown(n);
    std::vector<uint8_t> pict_types(n);
    SampleArrays arrays{frames.data(),       nullptr,    luma.data(),       prev_luma.data(), motion.data(),
                        packet_bytes.data(), pts.data(), pict_types.data(), shown.data()};
    read_samples(request, arrays);
    for (int64_t row : shown) require(row >= 0 && row < static_cast<int64_t>(table.size.size()));
    for (int16_t component : motion) require(component >= -2047 && component <= 2047);

    BitCostRequest bits;
    bits.path = path;
    bits.limits = limits;
    bits.table = &table;
    bits.frame_indices = request.frame_indices;
    bits.threads = request.threads;
    bits.poll = request.poll;
    require(bit_cost(bits).size() == n);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    av_log_set_level(AV_LOG_QUIET);
    av_max_alloc(size_t{64} << 20);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    MemoryFile file(data, size - 1);
    try {
        Limits limits = small_limits(data[size - 1]);
        PacketTable table = probe(file.path(), limits);
        check_table(table);
        read(file.path(), table, limits, data[size - 1]);
    } catch (const VideoError&) {
    } catch (const FileError&) {
    }
    return 0;
}
