// Memory for much that is written once, piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ov2::media {

// Asks the system for large pages where it gives them: a first write costs as much for a large page as for a
// small one. Not for several threads at once.
class Arena {
  public:
    // `bytes` that nothing else uses, not initialised, until they are given back or the arena goes.
    uint8_t* take(size_t bytes);
    // What was taken is not needed any more. Memory that lies near it is taken anew once all of it is given
    // back.
    void give_back(const uint8_t* taken);

  private:
    struct Free {
        void operator()(uint8_t* part) const;
    };
    struct Part {
        std::unique_ptr<uint8_t, Free> memory;
        size_t size;
        size_t used = 0;
        int64_t taken = 0;  // and not given back
    };
    Part& part_with(size_t bytes);

    std::vector<Part> parts_;
    size_t current_ = 0;
};

// What lies in [begin, end) of [first, last) is not needed any more, nor what lies before it, wherever it was
// taken from: the system may have its pages, and it may be written anew. Until then it reads as 0, or as what
// was there. A large page is given back once all of it is: a part of one would be of use to nobody.
void release_pages(uint8_t* first, uint8_t* begin, uint8_t* end, uint8_t* last);

}  // namespace ov2::media
