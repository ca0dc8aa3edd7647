#include "kernels/pack_pixel_values.h"

#include "parallel.h"

namespace ov2::kernels {

template <typename Value>
void pack_pixel_values(const Geometry& g, const uint8_t* frames, const int64_t* selected, int64_t count,
                       const int64_t* frame_ids, const Value* table, int threads, Value* values,
                       int64_t* positions) {
    int64_t area = g.patch * g.patch;
    parallel_for(count * g.blocks(), threads, [&](int64_t slot) {
        int64_t sample = selected[slot] / g.blocks();
        int64_t block_y = selected[slot] % g.blocks() / g.blocks_x();
        int64_t block_x = selected[slot] % g.blocks() % g.blocks_x();
        for (int64_t patch = 0; patch < 4; ++patch) {
            int64_t h = 2 * block_y + patch / 2;
            int64_t w = 2 * block_x + patch % 2;
            const uint8_t* from = frames + 3 * ((sample * g.height + h * g.patch) * g.width + w * g.patch);
            Value* to = values + (4 * slot + patch) * 3 * area;
            for (int64_t y = 0; y < g.patch; ++y) {
                const uint8_t* row = from + 3 * y * g.width;
                for (int64_t x = 0; x < g.patch; ++x) {
                    for (int64_t channel = 0; channel < 3; ++channel) {
                        to[channel * area + y * g.patch + x] = table[channel * 256 + row[3 * x + channel]];
                    }
                }
            }
            int64_t* position = positions + 3 * (4 * slot + patch);
            position[0] = frame_ids[sample];
            position[1] = h;
            position[2] = w;
        }
    });
}

template void pack_pixel_values(const Geometry&, const uint8_t*, const int64_t*, int64_t, const int64_t*,
                                const uint16_t*, int, uint16_t*, int64_t*);
template void pack_pixel_values(const Geometry&, const uint8_t*, const int64_t*, int64_t, const int64_t*,
                                const uint32_t*, int, uint32_t*, int64_t*);

}  // namespace ov2::kernels
