// What the kernels for inverted residuals share.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

// ``T`` is the number format of the frames.
template <typename T>
struct InvertedResidual {
    int height, width, inputs, wide, outputs;
    int kernel, stride, top, left;     // size and stride of the depthwise convolution, and zeros before its input
    int rows, columns;                 // of the output
    int residual;                      // whether the input is added to the output
    int chunk, band;                   // wide channels, and rows of the output, that are computed at a time
    const T* widen;                    // weights in an order that each kernel states; null if the input is as wide already
    const float *widen_bias, *taps, *taps_bias;
    const T* narrow;
    const float* narrow_bias;

    int right() const { return std::max(0, (columns - 1) * stride + kernel - left - width); }
};

// Numbers that begin at a line of the cache, zero at first.
template <typename T>
class Aligned {
  public:
    explicit Aligned(size_t count) : values_(count + 64 / sizeof(T)) {}

    T* data() {
        const auto address = reinterpret_cast<uintptr_t>(values_.data());
        return values_.data() + (64 - address % 64) % 64 / sizeof(T);
    }

  private:
    std::vector<T> values_;
};

// ``count`` pixels in tiles of nearly one size: a small one at the end would wait for its few sums.
template <typename Work>
void in_tiles(int count, int most, Work work) {
    const int tiles = (count + most - 1) / most;
    for (int tile = 0, first = 0; tile < tiles; ++tile) {
        const int size = (count - first) / (tiles - tile);
        work(first, size);
        first += size;
    }
}

// Calls ``function(layer, frame, first row, last row, output)`` for parts ``first`` to ``last`` of ``frames``, each of
// which is divided into ``parts`` of its rows of the output.
template <typename T, typename Function>
void for_parts(const InvertedResidual<T>& layer, const T* frames, int parts, int first, int last, T* out,
               Function function) {
    const size_t in_size = size_t(layer.height) * layer.width * layer.inputs;
    const size_t out_size = size_t(layer.rows) * layer.columns * layer.outputs;
    for (int part = first; part < last; ++part) {
        const int frame = part / parts, number = part % parts;
        function(layer, frames + frame * in_size, number * layer.rows / parts, (number + 1) * layer.rows / parts,
                 out + frame * out_size);
    }
}

}  // namespace
