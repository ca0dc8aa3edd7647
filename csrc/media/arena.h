// Memory for much that is written once, piece by piece, and freed together.
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
    // `bytes` that nothing else uses, not initialised, until the arena goes.
    uint8_t* take(size_t bytes);

  private:
    struct Free {
        void operator()(uint8_t* part) const;
    };
    std::vector<std::unique_ptr<uint8_t, Free>> parts_;
    uint8_t* next_ = nullptr;
    size_t left_ = 0;
};

}  // namespace ov2::media
