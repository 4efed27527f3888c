// Rows of a frame with zeros around them, for convolutions.

#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

namespace {

// Rows of a frame in float, with a border of zeros: row y of the frame is at ``row(y)`` once it has been written.
class Rows {
  public:
    Rows(int width, int channels, int kept)
        : kept_(kept), size_((width + 2 + 3 * 16) * channels), border_(channels), values_(size_t(kept) * size_) {}

    float* row(int y) { return values_.data() + size_t((y + kept_) % kept_) * size_; }
    float* inside(int y) { return row(y) + border_; }
    void clear(int y) { std::memset(row(y), 0, size_ * sizeof(float)); }

  private:
    int kept_;
    size_t size_;
    int border_;
    std::vector<float> values_;
};

}  // namespace
