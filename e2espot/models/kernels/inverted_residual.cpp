// Inverted residuals: a 1x1 convolution that widens, a depthwise one, and a 1x1 one that narrows, the first two with
// ReLU6. What lies between them is several times as large as input and output, and never leaves the cache:
//
//     rows of the input -> widened, a ring of rows for each panel of 16 channels -> depthwise -> added to the output
//
// Frames are channels-last floats. Padding may be one more below and on the right than elsewhere.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "vectors.h"

namespace {

constexpr int kPanel = 16;          // wide channels of a panel: a pixel of it is one line of a cache
constexpr int kTile = 6;            // pixels that share each weight while it is in a register: 12 of 16 hold sums
constexpr int kWideTile = 4;        // the same for 24 outputs
constexpr int kDepthwiseTile = 13;  // the same for a tap of 8 channels

struct InvertedResidual {
    int height, width, inputs, wide, outputs;
    int kernel, stride, top, left;     // size and stride of the depthwise convolution, and zeros before its input
    int rows, columns;                 // of the output
    int residual;                      // whether the input is added to the output
    int chunk, band;                   // wide channels, and rows of the output, that are computed at a time
    const float *widen, *widen_bias;   // (wide / 16, inputs, 16), (wide,); null if the input is as wide already
    const float *taps, *taps_bias;     // (wide / 8, kernel, kernel, 8), (wide,)
    const float *narrow, *narrow_bias; // (outputs / 16, wide, 16), the last of 24 instead of 16 and 8; (outputs,)

    int right() const { return std::max(0, (columns - 1) * stride + kernel - left - width); }
};

// Numbers that begin at a line of the cache.
class Aligned {
  public:
    explicit Aligned(size_t count) : values_(count + 16) {}

    float* data() {
        const auto address = reinterpret_cast<uintptr_t>(values_.data());
        return values_.data() + (64 - address % 64) % 64 / sizeof(float);
    }

  private:
    std::vector<float> values_;
};

// A number that is not finite stays so, but for infinity.
inline Half relu6(Half value) {
    const Half six = {6, 6, 6, 6, 6, 6, 6, 6};
    value = rectified(value);
    return value > six ? six : value;
}

// Pixels of a matrix product: ``blocks`` times ``length`` inputs, and where the outputs go.
struct Product {
    const float* in;
    size_t in_step;     // from a pixel to the next
    int blocks, length;
    size_t block_step;  // from the inputs of a block to those of the next
    const float* bias;
    const float* added; // null, or as ``out``
    float* out;
    size_t out_step;
};

template <int pixels, int vectors, bool clipped>
void multiply(const Product& product, int first, const float* weight) {
    Half sums[pixels][vectors];
    for (int p = 0; p < pixels; ++p)
        for (int v = 0; v < vectors; ++v) sums[p][v] = load_half(product.bias + 8 * v);
    const float* in = product.in + first * product.in_step;
    for (int block = 0; block < product.blocks; ++block, in += product.block_step)
        for (int c = 0; c < product.length; ++c, weight += 8 * vectors) {
            Half weights[vectors];
            for (int v = 0; v < vectors; ++v) weights[v] = load_half(weight + 8 * v);
            for (int p = 0; p < pixels; ++p) {
                const float value = in[p * product.in_step + c];
                for (int v = 0; v < vectors; ++v) sums[p][v] += value * weights[v];
            }
        }
    const size_t offset = first * product.out_step;
    for (int p = 0; p < pixels; ++p)
        for (int v = 0; v < vectors; ++v) {
            const size_t place = offset + p * product.out_step + 8 * v;
            Half value = sums[p][v];
            if (product.added) value += load_half(product.added + place);
            store_half(product.out + place, clipped ? relu6(value) : value);
        }
}

using Multiply = void (*)(const Product&, int, const float*);

template <int vectors, bool clipped, int... counts>
constexpr std::array<Multiply, sizeof...(counts)> products_of(std::integer_sequence<int, counts...>) {
    return {multiply<counts + 1, vectors, clipped>...};
}

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

template <int vectors, bool clipped, int most>
void multiply_all(const Product& product, int count, const float* weight) {
    static constexpr auto functions = products_of<vectors, clipped>(std::make_integer_sequence<int, most>());
    in_tiles(count, most, [&](int first, int size) { functions[size - 1](product, first, weight); });
}

// 8 channels of a row of the depthwise convolution. ``lines`` are its rows of the input.
template <int kernel, int stride, int pixels>
void depthwise_tile(const float* const* lines, int first, const float* taps, const float* bias, float* out) {
    Half sums[pixels];
    for (int p = 0; p < pixels; ++p) sums[p] = load_half(bias);
    for (int dy = 0; dy < kernel; ++dy) {
        const float* in = lines[dy] + size_t(first) * stride * kPanel;
        for (int dx = 0; dx < kernel; ++dx, in += kPanel, taps += 8) {
            const Half weight = load_half(taps);
            for (int p = 0; p < pixels; ++p) sums[p] += weight * load_half(in + p * stride * kPanel);
        }
    }
    for (int p = 0; p < pixels; ++p) store_half(out + size_t(first + p) * kPanel, relu6(sums[p]));
}

using Depthwise = void (*)(const float* const*, int, const float*, const float*, float*);

template <int kernel, int stride, int... counts>
constexpr std::array<Depthwise, sizeof...(counts)> depthwise_of(std::integer_sequence<int, counts...>) {
    return {depthwise_tile<kernel, stride, counts + 1>...};
}

template <int kernel, int stride>
void depthwise_row(const float* const* lines, int columns, const float* taps, const float* bias, float* out) {
    static constexpr auto functions = depthwise_of<kernel, stride>(std::make_integer_sequence<int, kDepthwiseTile>());
    in_tiles(columns, kDepthwiseTile, [&](int first, int size) {
        for (int c = 0; c < kPanel; c += 8) {  // both halves of a line while it is in the nearest cache
            const float* halves[kernel];
            for (int dy = 0; dy < kernel; ++dy) halves[dy] = lines[dy] + c;
            functions[size - 1](halves, first, taps + c * kernel * kernel, bias + c, out + c);
        }
    });
}

// Widened rows of a frame, for each panel of a chunk a ring with zeros around the frame.
class Ring {
  public:
    Ring(const InvertedResidual& layer)
        : layer_(layer),
          kept_(layer.kernel + layer.stride * (layer.band - 1)),
          row_(size_t(layer.left + layer.width + layer.right()) * kPanel),
          values_(size_t(layer.chunk / kPanel) * kept_ * row_) {}

    float* row(int panel, int y) {  // y >= -kernel
        return values_.data() + (size_t(panel) * kept_ + (y + layer_.kernel) % kept_) * row_;
    }

    // Row y of a frame, for a panel of the chunk and its first channel of all.
    void write(const float* frame, int panel, int channel, int y) {
        float* out = row(panel, y) + layer_.left * kPanel;
        if (y < 0 || y >= layer_.height) {
            std::memset(out, 0, size_t(layer_.width) * kPanel * sizeof(float));
            return;
        }
        const float* in = frame + size_t(y) * layer_.width * layer_.inputs;
        if (!layer_.widen) {
            for (int x = 0; x < layer_.width; ++x)
                std::memcpy(out + x * kPanel, in + size_t(x) * layer_.inputs + channel, kPanel * sizeof(float));
            return;
        }
        const Product product{in, size_t(layer_.inputs), 1, layer_.inputs, 0, layer_.widen_bias + channel, nullptr, out,
                              kPanel};
        multiply_all<2, true, kTile>(product, layer_.width, layer_.widen + size_t(channel) * layer_.inputs);
    }

  private:
    const InvertedResidual& layer_;
    int kept_;
    size_t row_;
    Aligned values_;
};

// Add what ``channels`` of the depthwise convolution give, from ``channel`` on, to rows of the output.
void narrow(const InvertedResidual& layer, const float* in, int pixels, int channel, int channels, const float* bias,
            const float* added, float* out) {
    const int whole = layer.outputs % 16 ? layer.outputs - 24 : layer.outputs;
    for (int o = 0; o < layer.outputs;) {
        const int outputs = o < whole ? 16 : 24;
        const Product product{in, kPanel, channels / kPanel, kPanel, size_t(pixels) * kPanel, bias + o,
                              added ? added + o : nullptr, out + o, size_t(layer.outputs)};
        const float* weight = layer.narrow + size_t(o) * layer.wide + size_t(channel) * outputs;
        if (outputs == 16) multiply_all<2, false, kTile>(product, pixels, weight);
        else multiply_all<3, false, kWideTile>(product, pixels, weight);
        o += outputs;
    }
}

// Rows ``first`` to ``last`` of the output of a frame.
template <int kernel, int stride>
void inverted_residual(const InvertedResidual& layer, const float* frame, int first, int last, float* out) {
    Ring ring(layer);
    Aligned between(size_t(layer.band) * layer.columns * layer.chunk);
    const std::vector<float> zeros(layer.outputs);
    const size_t numbers = size_t(layer.columns) * layer.outputs;
    for (int channel = 0; channel < layer.wide; channel += layer.chunk) {
        const int channels = std::min(layer.chunk, layer.wide - channel);
        int next = first * stride - layer.top;  // row of the input
        for (int y = first; y < last; y += layer.band) {
            const int rows = std::min(layer.band, last - y), begin = y * stride - layer.top;
            const int end = begin + (rows - 1) * stride + kernel, pixels = rows * layer.columns;
            for (int c = 0; c < channels; c += kPanel) {
                const int panel = c / kPanel, all = channel + c;
                for (int row = std::max(next, begin); row < end; ++row) ring.write(frame, panel, all, row);
                for (int row = 0; row < rows; ++row) {
                    const float* lines[kernel];
                    for (int dy = 0; dy < kernel; ++dy) lines[dy] = ring.row(panel, begin + row * stride + dy);
                    depthwise_row<kernel, stride>(lines, layer.columns, layer.taps + size_t(all) * kernel * kernel,
                                                  layer.taps_bias + all,
                                                  between.data() + (size_t(panel) * pixels + row * layer.columns) * kPanel);
                }
            }
            next = end;
            const float* added = channel ? out + y * numbers : layer.residual ? frame + y * numbers : nullptr;
            narrow(layer, between.data(), pixels, channel, channels, channel ? zeros.data() : layer.narrow_bias, added,
                   out + y * numbers);
        }
    }
}

}  // namespace

// Parts ``first`` to ``last`` of ``frames``, each of which is divided into ``parts`` of its rows of the output.
extern "C" void e2espot_inverted_residual_fp32(const InvertedResidual* layer, const float* frames, int parts, int first,
                                               int last, float* out) {
    const size_t in_size = size_t(layer->height) * layer->width * layer->inputs;
    const size_t out_size = size_t(layer->rows) * layer->columns * layer->outputs;
    const auto function = layer->kernel == 3 ? (layer->stride == 1 ? inverted_residual<3, 1> : inverted_residual<3, 2>)
                                             : (layer->stride == 1 ? inverted_residual<5, 1> : inverted_residual<5, 2>);
    for (int part = first; part < last; ++part) {
        const int frame = part / parts, number = part % parts;
        function(*layer, frames + frame * in_size, number * layer->rows / parts, (number + 1) * layer->rows / parts,
                 out + frame * out_size);
    }
}
