// Cells of 4x4 pixels: by how much each differs from its prediction, and how far it moved.
#pragma once

#include <cstdint>
#include <memory>

namespace ov2::kernels {

struct Vector {
    int x, y;

    int& operator[](int64_t axis) { return axis == 0 ? x : y; }
};

constexpr int kVectorLimit = 2047;  // of components, after the median is taken off

// What cells are measured with: AVX-512 in registers of 256 bits, or of 512. Tests ask for what is not the
// quickest, to compare all.
enum class Instructions { kAny, kAvx2, kAvx512, kAvx512Wide };

// The quickest: where a processor works on 512 bits in two halves, those of 256.
Instructions quickest_instructions();

// The most that this processor has, up to `most`, and that pictures of this size can be measured with.
Instructions usable_instructions(Instructions most, int64_t width, int64_t height);

// Rows of cells, one below the other, and what is needed to measure them.
struct CellRows {
    Instructions instructions;
    const uint8_t* luma;    // their first pixel
    const uint8_t* prev;    // the first pixel of the picture before
    int64_t width, height;  // of the pictures
    int64_t y;              // of the first pixels
    int64_t rows;
    const int16_t* vectors;
    Vector median;
    // What the processor is asked to fetch meanwhile: for each cell 16 bytes of pictures, and one vector.
    // Behind the last picture it finds nothing, which does no harm.
    const uint8_t* next_luma;
    const uint8_t* next_prev;
    const int16_t* next_vectors;

    int64_t cells() const { return width / 4; }  // of a row
};

// Room for what measuring rows of cells needs. Cells are measured in groups; the last of a row begins within
// the one before, if need be.
class CellRoom {
  public:
    static constexpr int64_t kGroup = 8;

    CellRoom(int64_t width, int64_t rows);

    // How many cells the groups of a row have.
    static int64_t grouped(int64_t cells) { return (cells + kGroup - 1) / kGroup * kGroup; }

    // Where the windows of the cells of each group begin: the five rows of five pixels that a cell is
    // predicted from, of which eight may be read.
    const uint8_t** windows() const { return windows_.get(); }

    // For copies of windows that reach out of the picture: side by side, and their rows as far apart as
    // there.
    uint8_t* copies() const { return copies_.get(); }

    // Which windows reach out, and where those begin: columns in the lower half, rows in the upper.
    int32_t* outside() const { return outside_.get(); }
    int32_t* outside_places() const { return outside_places_.get(); }

    static constexpr int64_t kWindowRows = 5, kWindowRead = 8;

  private:
    std::unique_ptr<const uint8_t*[]> windows_;
    std::unique_ptr<uint8_t[]> copies_;
    std::unique_ptr<int32_t[]> outside_, outside_places_;
};

// The sums down each column of cells: of residuals, and of the lengths of vectors after the median is taken
// off, in 1/16 of a quarter pixel. There is room for all that the groups of a row have.
void measure_cells(const CellRows& rows, const CellRoom& room, int32_t* residuals, int32_t* lengths);

// The same on x86-64 with AVX2 or AVX-512.
void measure_cells_x86(const CellRows& rows, const CellRoom& room, int32_t* residuals, int32_t* lengths);

}  // namespace ov2::kernels
