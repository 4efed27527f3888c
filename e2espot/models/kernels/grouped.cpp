// 3x3 convolutions in groups of 8 or 16 channels, with the means of their outputs.
//
// A group is too narrow for the blocks that a CPU's library forms. Here the sums of some pixels with all outputs of a
// group stay in registers. Frames are channels-last floats.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "rows.h"
#include "vectors.h"

namespace {

// A row of one group of ``8 kVectors`` inputs and outputs; ``kAtOnce`` pixels share each weight while it is in a
// register. ``step`` numbers lie between the inputs of two outputs. The outputs are added to ``totals``.
template <int kVectors, int kAtOnce>
void grouped_row(const float* const* lines, int first, int step, int channels, int columns, bool relu, const float* weight,
                 const float* bias, float* out, float* totals) {
    constexpr int kGroup = 8 * kVectors;
    for (int x = 0; x < columns; x += kAtOnce) {
        Half sums[kAtOnce][kVectors];
        for (int p = 0; p < kAtOnce; ++p)
            for (int k = 0; k < kVectors; ++k) sums[p][k] = load_half(bias + 8 * k);
        for (int dy = 0; dy < 3; ++dy)
            for (int dx = 0; dx < 3; ++dx) {
                const float* in = lines[dy] + size_t(x) * step + dx * channels + first;
                const float* tap = weight + (dy * 3 + dx) * kGroup * 8;
                for (int c = 0; c < kGroup; ++c)
                    for (int p = 0; p < kAtOnce; ++p)
                        for (int k = 0; k < kVectors; ++k)
                            sums[p][k] += in[size_t(p) * step + c] * load_half(tap + k * 72 * kGroup + 8 * c);
            }
        const int valid = std::min(kAtOnce, columns - x);
        for (int k = 0; k < kVectors; ++k) {
            Half total = load_half(totals + 8 * k);
            for (int p = 0; p < kAtOnce; ++p) {
                if (p >= valid) break;
                const Half value = relu ? rectified(sums[p][k]) : sums[p][k];
                store_half(out + size_t(x + p) * channels + 8 * k, value);
                total += value;
            }
            store_half(totals + 8 * k, total);
        }
    }
}

// conv3x3(x) + bias, and ReLU if wanted, in groups of ``group`` inputs and outputs, zeros around the frame; and the mean
// of each output over the frame. ``weight`` is (groups, group / 8, 3, 3, group inputs, 8 outputs).
void grouped(const float* frames, int count, int height, int width, int channels, int group, int stride, bool relu,
             const float* weight, const float* bias, float* out, float* means) {
    const int rows = (height - 1) / stride + 1, columns = (width - 1) / stride + 1, step = stride * channels;
    const int numbers = width * channels, blocks = channels / 8;
    Rows input(width, channels, 3);
    std::vector<float> totals(channels);
    const float* lines[3];
    for (int t = 0; t < count; ++t) {
        const float* frame = frames + size_t(t) * height * numbers;
        std::fill(totals.begin(), totals.end(), 0.0f);
        int written = -1;
        input.clear(-1);
        for (int y = 0; y < rows; ++y) {
            for (; written < stride * y + 1; ++written) {
                const int next = written + 1;
                if (next >= height) {
                    input.clear(next);
                    continue;
                }
                float* target = input.inside(next);
                std::memcpy(target, frame + size_t(next) * numbers, numbers * sizeof(float));
            }
            float* target = out + (size_t(t) * rows + y) * columns * channels;
            for (int y3 = 0; y3 < 3; ++y3) lines[y3] = input.row(stride * y + y3 - 1);
            for (int block = 0; block < blocks; block += group / 8) {
                const float* kernel = weight + size_t(block) * 72 * group;
                const int output = 8 * block;  // the first of the group, as of its inputs
                if (group == 16)
                    grouped_row<2, 4>(lines, output, step, channels, columns, relu, kernel, bias + output,
                                      target + output, totals.data() + output);
                else
                    grouped_row<1, 8>(lines, output, step, channels, columns, relu, kernel, bias + output,
                                      target + output, totals.data() + output);
            }
        }
        for (int c = 0; c < channels; ++c) means[size_t(t) * channels + c] = totals[c] / (float(rows) * columns);
    }
}

}  // namespace

extern "C" void e2espot_grouped_fp32(const float* frames, int count, int height, int width, int channels, int group,
                                     int relu, int stride, const float* weight, const float* bias, float* out,
                                     float* means) {
    grouped(frames, count, height, width, channels, group, stride, relu != 0, weight, bias, out, means);
}
