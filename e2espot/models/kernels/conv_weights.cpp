// The gradient of the weights of a convolution with a stride, as sums of products over channels-last floats.
//
// The pixels that a kernel's row reads are one run of numbers, kernel * inputs of them: no channels are computed that are
// not there, where libraries take eight or sixteen at a time. Outputs are in groups of 8 * V, whose sums stay in
// registers while a row of the frame is read.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "vectors.h"

namespace {

struct Layer {
    int height, width, inputs, outputs, kernel, stride;

    int padding() const { return kernel / 2; }
    int rows() const { return (height + 2 * padding() - kernel) / stride + 1; }
    int columns() const { return (width + 2 * padding() - kernel) / stride + 1; }
    int run() const { return kernel * inputs; }           // numbers that a kernel's row reads
    int step() const { return stride * inputs; }          // from one output to the next
    int first_inside() const { return std::min(columns(), (padding() + stride - 1) / stride); }
    int last_inside() const {
        const int room = width + padding() - kernel;
        return std::max(first_inside(), std::min(columns(), room < 0 ? 0 : room / stride + 1));
    }
};

// What the outputs of a row read: one pointer for each row of the kernel, at the output in column 0.
struct Rows {
    std::vector<const float*> at;
    std::vector<float> zeros, patch;

    explicit Rows(const Layer& layer)
        : at(layer.kernel), zeros(size_t(layer.width + 2 * layer.kernel) * layer.inputs), patch(layer.kernel * layer.run()) {}

    void set(const Layer& layer, const float* frame, int y) {
        for (int k = 0; k < layer.kernel; ++k) {
            const int row = y * layer.stride - layer.padding() + k;
            const bool inside = row >= 0 && row < layer.height;
            // Never read in front of a row: columns near its ends go through the patch.
            at[k] = inside ? frame + (ptrdiff_t(row) * layer.width - layer.padding()) * layer.inputs : zeros.data();
        }
    }

    // The numbers that one output reads, with zeros beyond the row.
    const float* copy(const Layer& layer, int x) {
        for (int k = 0; k < layer.kernel; ++k)
            for (int i = 0; i < layer.kernel; ++i) {
                const int column = x * layer.stride - layer.padding() + i;
                float* target = patch.data() + k * layer.run() + i * layer.inputs;
                if (column < 0 || column >= layer.width) std::fill_n(target, layer.inputs, 0.0f);
                else std::copy_n(at[k] + size_t(x) * layer.step() + i * layer.inputs, layer.inputs, target);
            }
        return patch.data();
    }
};

// Add to the sums of T weights in a kernel's row the products of what they read with the gradients of some outputs.
template <int V, int T>
void accumulate(const float* in, int step, const float* gradient, int outputs, int count, float* sums) {
    Half part[T][V] = {};
    for (int x = 0; x < count; ++x, in += step, gradient += outputs) {
        Half g[V];
        for (int v = 0; v < V; ++v) g[v] = load_half(gradient + 8 * v);
        for (int t = 0; t < T; ++t)
            for (int v = 0; v < V; ++v) part[t][v] += in[t] * g[v];
    }
    for (int t = 0; t < T; ++t)
        for (int v = 0; v < V; ++v) {
            float* sum = sums + (t * V + v) * 8;
            store_half(sum, load_half(sum) + part[t][v]);
        }
}

// What is left of a kernel's row, fewer than T weights.
template <int V, int T>
void accumulate_rest(const float* in, int rest, int step, const float* gradient, int outputs, int count, float* sums) {
    if constexpr (T > 1) {
        if (rest == T - 1) accumulate<V, T - 1>(in, step, gradient, outputs, count, sums);
        else accumulate_rest<V, T - 1>(in, rest, step, gradient, outputs, count, sums);
    }
}

template <int V>
void accumulate_run(const float* in, int run, int step, const float* gradient, int outputs, int count, float* sums) {
    constexpr int T = 12 / V;  // 12 of 16 registers hold sums
    int t = 0;
    for (; t + T <= run; t += T) accumulate<V, T>(in + t, step, gradient, outputs, count, sums + t * 8 * V);
    accumulate_rest<V, T>(in + t, run - t, step, gradient, outputs, count, sums + t * 8 * V);
}

template <int V>
void differentiate(const Layer& layer, const float* frames, int count, const float* gradients, float* sums) {
    const int columns = layer.columns(), run = layer.run(), first = layer.first_inside(), last = layer.last_inside();
    const size_t row_size = size_t(run) * 8 * V;
    Rows rows(layer);
    for (int n = 0; n < count; ++n, frames += size_t(layer.height) * layer.width * layer.inputs)
        for (int y = 0; y < layer.rows(); ++y, gradients += size_t(columns) * layer.outputs) {
            rows.set(layer, frames, y);
            for (int o = 0; o < layer.outputs; o += 8 * V) {
                float* group = sums + o / (8 * V) * layer.kernel * row_size;
                const float* gradient = gradients + o;
                for (int k = 0; k < layer.kernel; ++k)
                    accumulate_run<V>(rows.at[k] + size_t(first) * layer.step(), run, layer.step(),
                                      gradient + size_t(first) * layer.outputs, layer.outputs, last - first,
                                      group + k * row_size);
                for (int x = 0; x < columns; ++x) {
                    if (x >= first && x < last) continue;
                    const float* patch = rows.copy(layer, x);
                    for (int k = 0; k < layer.kernel; ++k)
                        accumulate_run<V>(patch + k * run, run, 0, gradient + size_t(x) * layer.outputs, layer.outputs, 1,
                                          group + k * row_size);
                }
            }
        }
}

}  // namespace

extern "C" {

// Adds to ``sums``, (outputs / group, kernel, kernel * inputs, group) with groups of ``vectors`` times eight outputs.
void e2espot_conv_weights_fp32(const float* frames, int count, int height, int width, int inputs, int outputs, int kernel,
                               int stride, int vectors, const float* gradients, float* sums) {
    const Layer layer{height, width, inputs, outputs, kernel, stride};
    if (vectors == 2) differentiate<2>(layer, frames, count, gradients, sums);
    if (vectors == 3) differentiate<3>(layer, frames, count, gradients, sums);
    if (vectors == 4) differentiate<4>(layer, frames, count, gradients, sums);
}
}
