// 3x3 convolutions with stride 1 by Winograd's method, F(4x4, 3x3): 36 products for 16 outputs instead of 144.
//
//     input tile 6x6 -> B' d B -> 36 matrix products over channels -> A' m A -> output tile 4x4
//
// In training, the gradient of the weights is the transpose of this, in 36 points too:
//
//     input tile -> B' d B, gradient of the output tile -> A g A' -> 36 matrix products over tiles
//
// Frames are channels-last floats, with zeros around each. See Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2016.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "vectors.h"

namespace {

constexpr int kPoints = 36;  // products of a tile
constexpr int kRows = 6;     // tiles that share each weight while it is in a register: 12 of 16 registers hold sums
constexpr int kWide = 16;    // outputs whose sums are formed at a time
constexpr size_t kBlockBytes = 160 * 1024;  // inputs of a block of tiles: they and their outputs stay in a level-2 cache
constexpr size_t kGradientBytes = 1536 * 1024;  // of a block in training: it is read once for each pass over the sums

struct Layer {
    int height, width, inputs, outputs;
    bool relu;
    const float* weight;  // (36, outputs / 16, inputs, 16), transformed
    const float* bias;

    int rows() const { return (height + 3) / 4; }
    int columns() const { return (width + 3) / 4; }
    int tiles() const { return rows() * columns(); }
};

// B' d along one axis: six numbers to six.
inline void transform_input(const Half* d, int step, Half* out, int out_step) {
    const Half d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    const Half even = d4 - 4.0f * d2, odd = d3 - 4.0f * d1, even2 = d4 - d2, odd2 = 2.0f * (d3 - d1);
    out[0] = 4.0f * d0 - 5.0f * d2 + d4;
    out[out_step] = even + odd;
    out[2 * out_step] = even - odd;
    out[3 * out_step] = even2 + odd2;
    out[4 * out_step] = even2 - odd2;
    out[5 * out_step] = 4.0f * d1 - 5.0f * d3 + d5;
}

// A' m along one axis: six numbers to four.
inline void transform_output(const Half* m, int step, Half* out, int out_step) {
    const Half sum = m[step] + m[2 * step], difference = m[step] - m[2 * step];
    const Half sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
    out[0] = m[0] + sum + sum2;
    out[out_step] = difference + 2.0f * difference2;
    out[2 * out_step] = sum + 4.0f * sum2;
    out[3 * out_step] = difference + 8.0f * difference2 + m[5 * step];
}

// All 36 inputs of a tile, for each channel. ``point_step`` numbers lie between two of them.
void read_tile(const Layer& layer, const float* frame, int y, int x, const float* zeros, float* out, size_t point_step) {
    const float* pixels[kPoints];
    for (int k = 0; k < kPoints; ++k) {
        const int row = y - 1 + k / 6, column = x - 1 + k % 6;
        const bool inside = row >= 0 && row < layer.height && column >= 0 && column < layer.width;
        pixels[k] = inside ? frame + (size_t(row) * layer.width + column) * layer.inputs : zeros;
    }
    for (int c = 0; c < layer.inputs; c += 8) {
        Half given[kPoints], half[kPoints], whole[kPoints];
        for (int k = 0; k < kPoints; ++k) given[k] = load_half(pixels[k] + c);
        for (int column = 0; column < 6; ++column) transform_input(given + column, 6, half + column, 6);
        for (int row = 0; row < 6; ++row) transform_input(half + 6 * row, 1, whole + 6 * row, 1);
        for (int k = 0; k < kPoints; ++k) store_half(out + k * point_step + c, whole[k]);
    }
}

// (tiles, inputs) times (inputs, outputs), for one of the 36 points.
void multiply(const Layer& layer, int tiles, const float* in, const float* weight, float* out) {
    const int inputs = layer.inputs, outputs = layer.outputs;
    for (int o = 0; o < outputs; o += kWide, weight += size_t(inputs) * kWide)
        for (int tile = 0; tile < tiles; tile += kRows) {
            const float* rows = in + size_t(tile) * inputs;
            Half sums[kRows][2] = {};
            for (int c = 0; c < inputs; ++c) {
                const Half w0 = load_half(weight + c * kWide), w1 = load_half(weight + c * kWide + 8);
                for (int row = 0; row < kRows; ++row) {
                    const float value = rows[row * inputs + c];
                    sums[row][0] += value * w0;
                    sums[row][1] += value * w1;
                }
            }
            for (int row = 0; row < kRows; ++row) {
                store_half(out + size_t(tile + row) * outputs + o, sums[row][0]);
                store_half(out + size_t(tile + row) * outputs + o + 8, sums[row][1]);
            }
        }
}

// Bias, what is added, ReLU. ``added`` is a frame or null, and may be ``frame`` itself.
void write_tile(const Layer& layer, const float* in, size_t point_step, int y, int x, const float* added, float* frame) {
    const int rows = std::min(4, layer.height - y), columns = std::min(4, layer.width - x);
    for (int o = 0; o < layer.outputs; o += 8) {
        Half given[kPoints], half[24], whole[16];
        for (int k = 0; k < kPoints; ++k) given[k] = load_half(in + k * point_step + o);
        for (int column = 0; column < 6; ++column) transform_output(given + column, 6, half + column, 6);
        for (int row = 0; row < 4; ++row) transform_output(half + 6 * row, 1, whole + 4 * row, 1);
        const Half bias = load_half(layer.bias + o);
        for (int row = 0; row < rows; ++row)
            for (int column = 0; column < columns; ++column) {
                const size_t offset = (size_t(y + row) * layer.width + x + column) * layer.outputs + o;
                Half value = whole[4 * row + column] + bias;
                if (added) value += load_half(added + offset);
                store_half(frame + offset, layer.relu ? rectified(value) : value);
            }
    }
}

// A g along one axis: four numbers to six.
inline void transform_gradient(const Half* g, int step, Half* out, int out_step) {
    const Half g0 = g[0], g1 = g[step], g2 = g[2 * step], g3 = g[3 * step];
    const Half even = g0 + g2, odd = g1 + g3, even2 = g0 + 4.0f * g2, odd2 = 2.0f * g1 + 8.0f * g3;
    out[0] = g0;
    out[out_step] = even + odd;
    out[2 * out_step] = even - odd;
    out[3 * out_step] = even2 + odd2;
    out[4 * out_step] = even2 - odd2;
    out[5 * out_step] = g3;
}

// The gradient of a tile of outputs in 36 points, for each channel; zero beyond the frame.
void read_gradient(const Layer& layer, const float* frame, int y, int x, const float* zeros, float* out, size_t point_step) {
    const float* pixels[16];
    for (int k = 0; k < 16; ++k) {
        const int row = y + k / 4, column = x + k % 4;
        const bool inside = row < layer.height && column < layer.width;
        pixels[k] = inside ? frame + (size_t(row) * layer.width + column) * layer.outputs : zeros;
    }
    for (int o = 0; o < layer.outputs; o += 8) {
        Half given[16], half[24], whole[kPoints];
        for (int k = 0; k < 16; ++k) given[k] = load_half(pixels[k] + o);
        for (int column = 0; column < 4; ++column) transform_gradient(given + column, 4, half + column, 4);
        for (int row = 0; row < 6; ++row) transform_gradient(half + 4 * row, 1, whole + 6 * row, 1);
        for (int k = 0; k < kPoints; ++k) store_half(out + k * point_step + o, whole[k]);
    }
}

// Add (inputs, tiles) times (tiles, outputs) to the sums of one of the 36 points, (inputs, outputs).
void accumulate(const Layer& layer, int tiles, const float* in, const float* gradient, float* sums) {
    const int inputs = layer.inputs, outputs = layer.outputs;
    for (int c = 0; c < inputs; c += kRows) {
        const int rows = std::min(kRows, inputs - c);
        for (int o = 0; o < outputs; o += kWide) {
            Half part[kRows][2] = {};
            const float *left = in + c, *right = gradient + o;
            for (int tile = 0; tile < tiles; ++tile, left += inputs, right += outputs) {
                const Half g0 = load_half(right), g1 = load_half(right + 8);
                for (int row = 0; row < kRows; ++row) {
                    part[row][0] += left[row] * g0;
                    part[row][1] += left[row] * g1;
                }
            }
            for (int row = 0; row < rows; ++row) {
                float* sum = sums + size_t(c + row) * outputs + o;
                store_half(sum, load_half(sum) + part[row][0]);
                store_half(sum + 8, load_half(sum + 8) + part[row][1]);
            }
        }
    }
}

void differentiate(const Layer& layer, const float* frames, int count, const float* gradients, float* sums) {
    const size_t in_size = size_t(layer.height) * layer.width * layer.inputs;
    const size_t out_size = size_t(layer.height) * layer.width * layer.outputs;
    const size_t both = layer.inputs + layer.outputs;
    const int block = std::max(1, int(kGradientBytes / (kPoints * sizeof(float) * both)));
    const std::vector<float> zeros(std::max(layer.inputs, layer.outputs));
    const size_t in_step = size_t(block) * layer.inputs, out_step = size_t(block) * layer.outputs;
    // The last rows of the last point are read beyond its inputs.
    std::vector<float> inputs(kPoints * in_step + kRows), outputs(kPoints * out_step);
    const int tiles = layer.tiles(), all = count * tiles;
    for (int first = 0; first < all; first += block) {
        const int valid = std::min(block, all - first);
        for (int n = 0; n < valid; ++n) {
            const int frame = (first + n) / tiles, tile = (first + n) % tiles;
            const int y = tile / layer.columns() * 4, x = tile % layer.columns() * 4;
            read_tile(layer, frames + frame * in_size, y, x, zeros.data(), inputs.data() + size_t(n) * layer.inputs, in_step);
            read_gradient(layer, gradients + frame * out_size, y, x, zeros.data(),
                          outputs.data() + size_t(n) * layer.outputs, out_step);
        }
        for (int k = 0; k < kPoints; ++k)
            accumulate(layer, valid, inputs.data() + k * in_step, outputs.data() + k * out_step,
                       sums + size_t(k) * layer.inputs * layer.outputs);
    }
}

void convolve(const Layer& layer, const float* frames, int count, const float* added, float* out) {
    const size_t in_size = size_t(layer.height) * layer.width * layer.inputs;
    const size_t out_size = size_t(layer.height) * layer.width * layer.outputs;
    const int widest = std::max(layer.inputs, layer.outputs);
    const int block = std::max(1, int(kBlockBytes / (kPoints * sizeof(float) * kRows * widest))) * kRows;
    const std::vector<float> zeros(layer.inputs);
    std::vector<float> transformed(size_t(kPoints) * block * layer.inputs), products(size_t(kPoints) * block * layer.outputs);
    const size_t in_step = size_t(block) * layer.inputs, out_step = size_t(block) * layer.outputs;
    const int tiles = layer.tiles(), all = count * tiles;
    for (int first = 0; first < all; first += block) {
        const int valid = std::min(block, all - first);
        for (int n = 0; n < valid; ++n) {
            const int frame = (first + n) / tiles, tile = (first + n) % tiles;
            read_tile(layer, frames + frame * in_size, tile / layer.columns() * 4, tile % layer.columns() * 4,
                      zeros.data(), transformed.data() + size_t(n) * layer.inputs, in_step);
        }
        for (int k = 0; k < kPoints; ++k)
            multiply(layer, (valid + kRows - 1) / kRows * kRows, transformed.data() + k * in_step,
                     layer.weight + size_t(k) * layer.inputs * layer.outputs, products.data() + k * out_step);
        for (int n = 0; n < valid; ++n) {
            const int frame = (first + n) / tiles, tile = (first + n) % tiles;
            write_tile(layer, products.data() + size_t(n) * layer.outputs, out_step, tile / layer.columns() * 4,
                       tile % layer.columns() * 4, added ? added + frame * out_size : nullptr, out + frame * out_size);
        }
    }
}

}  // namespace

extern "C" void e2espot_winograd_fp32(const float* frames, int count, int height, int width, int inputs, int outputs,
                                      int relu, const float* weight, const float* bias, const float* added, float* out) {
    convolve(Layer{height, width, inputs, outputs, relu != 0, weight, bias}, frames, count, added, out);
}

// Adds to ``sums`` (36, inputs, outputs) the gradient of the weights in 36 points.
extern "C" void e2espot_winograd_gradient_fp32(const float* frames, int count, int height, int width, int inputs,
                                               int outputs, const float* gradients, float* sums) {
    differentiate(Layer{height, width, inputs, outputs, false, nullptr, nullptr}, frames, count, gradients, sums);
}
