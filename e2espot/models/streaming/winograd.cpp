// 3x3 convolutions with stride 1 by Winograd's method, F(4x4, 3x3): 36 products for 16 outputs instead of 144.
//
//     input tile 6x6 -> B' d B -> 36 matrix products over channels -> A' m A -> output tile 4x4
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
