// Inverted residuals: a 1x1 convolution that widens, a depthwise one, and a 1x1 one that narrows, the first two with
// ReLU6. What lies between them is several times as large as input and output, and never leaves the cache:
//
//     rows of the input -> widened, a ring of rows for each panel of 16 channels -> depthwise -> added to the output
//
// Frames are channels-last floats. Padding may be one more below and on the right than elsewhere.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "inverted_residual.h"
#include "vectors.h"

namespace {

constexpr int kPanel = 16;          // wide channels of a panel: a pixel of it is one line of a cache
constexpr int kTile = 6;            // pixels that share each weight while it is in a register: 12 of 16 hold sums
constexpr int kWideTile = 4;        // the same for 24 outputs
constexpr int kDepthwiseTile = 13;  // the same for a tap of 8 channels

// Its weights: ``widen`` is (wide / 16, inputs, 16), ``taps`` (wide / 8, kernel, kernel, 8), and ``narrow``
// (outputs / 16, wide, 16), the last of 24 instead of 16 and 8.
using Layer = InvertedResidual<float>;

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
    Ring(const Layer& layer)
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
    const Layer& layer_;
    int kept_;
    size_t row_;
    Aligned<float> values_;
};

// Add what ``channels`` of the depthwise convolution give, from ``channel`` on, to rows of the output.
void narrow(const Layer& layer, const float* in, int pixels, int channel, int channels, const float* bias,
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
void inverted_residual(const Layer& layer, const float* frame, int first, int last, float* out) {
    Ring ring(layer);
    Aligned<float> between(size_t(layer.band) * layer.columns * layer.chunk);
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

extern "C" void e2espot_inverted_residual_fp32(const Layer* layer, const float* frames, int parts, int first, int last,
                                               float* out) {
    const auto function = layer->kernel == 3 ? (layer->stride == 1 ? inverted_residual<3, 1> : inverted_residual<3, 2>)
                                             : (layer->stride == 1 ? inverted_residual<5, 1> : inverted_residual<5, 2>);
    for_parts(*layer, frames, parts, first, last, out, function);
}
