// Gate shifts, whose folds are narrower than what a library of convolutions wants. ``native.py`` compiles and calls them.
//
// Frames are channels-last, as in ``kernels.cpp``.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

namespace {

// tanh within 3e-7. A number that is not finite stays so, which a comparison with "not less" would hide.
inline float tanh_(float x) {
    x = x > 9.0f ? 9.0f : x;
    x = x < -9.0f ? -9.0f : x;
    // exp(2 x) = 2^whole * 2^part, whole an integer and part in [-1/2, 1/2]: adding 1.5 * 2^23 rounds to integers.
    const float power = x * 2.885390082f, shifted = power + 12582912.0f;
    const float part = (power - (shifted - 12582912.0f)) * 0.6931471806f;
    int32_t whole;
    std::memcpy(&whole, &shifted, 4);
    // Taylor's series of exp(part), |part| < 0.35: the first term left out is below 1e-7.
    float exponential = 1.0f / 720;
    exponential = exponential * part + 1.0f / 120;
    exponential = exponential * part + 1.0f / 24;
    exponential = exponential * part + 1.0f / 6;
    exponential = exponential * part + 0.5f;
    exponential = exponential * part + 1.0f;
    exponential = exponential * part + 1.0f;
    const int32_t scale_bits = (whole - 0x4b400000 + 127) << 23;
    float scale;
    std::memcpy(&scale, &scale_bits, 4);
    return 1.0f - 2.0f / (exponential * scale + 1.0f);
}

constexpr int kBand = 14;    // rows of a frame that are computed for all frames before the next ones: they stay in cache
constexpr int kTile = 40;    // columns of a band whose gates of 8 channels are summed before the next ones, for the same

struct Shape {
    int height, width, channels, fold;
};

// The first number on a border of cache lines: a vector read across one takes twice as long.
inline float* aligned(std::vector<float>& values) {
    const uintptr_t line = kLanes * sizeof(float);
    return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(values.data()) + line - 1) / line * line);
}

// What the rows of one band need: normed frames with a border of zeros, and what each frame gives away.
class Band {
  public:
    Band(Shape shape)
        : shape_(shape),
          // 8 channels: two pixels fill a vector. Else whole vectors for each pixel: 12 -> 16, 40 -> 48.
          padded_(shape.fold == 8 ? 8 : (shape.fold + kLanes - 1) / kLanes * kLanes),
          row_((shape.width + 2 + 8 + 1) / 2 * 2 * padded_),
          normed_(3 * (kBand + 2) * row_ + kLanes),
          taken_(3 * kBand * shape.width * shape.fold),
          gates_row_(2 * (shape.width + 8)),
          gates_(size_t(kBand) * gates_row_),
          totals_(padded_ == 8 ? 0 : size_t(shape.width + 8) * 2 * kLanes + kLanes) {}

    int padded() const { return padded_; }
    float* normed(int frame, int row) { return aligned(normed_) + ((frame % 3) * (kBand + 2) + row) * size_t(row_); }
    float* taken(int frame, int row) {
        return taken_.data() + ((frame % 3) * kBand + row) * size_t(shape_.width) * shape_.fold;
    }
    float* gates(int row) { return gates_.data() + row * size_t(gates_row_); }
    float* totals() { return aligned(totals_); }

  private:
    Shape shape_;
    int padded_;
    int row_;
    std::vector<float> normed_, taken_;
    int gates_row_;
    std::vector<float> gates_, totals_;
};

// One row of relu(scale * x + shift); all zeros outside the frame, and without one.
template <typename T>
void norm_row(const T* frame, int y, Shape shape, int padded, const float* scale, const float* shift, float* out) {
    if (!frame || y < 0 || y >= shape.height) {
        std::memset(out, 0, size_t(shape.width + 2) * padded * sizeof(float));
        return;
    }
    const T* in = frame + size_t(y) * shape.width * shape.channels;
    if (padded == 8) {
        const Half factor = load_half(scale), added = load_half(shift);
        for (int x = 0; x < shape.width; ++x) {
            const Half value = load_half(in + size_t(x) * shape.channels) * factor + added;
            store_half(out + size_t(x + 1) * 8, rectified(value));
        }
        return;
    }
    for (int x = 0; x < shape.width; ++x) {
        float* pixel = out + size_t(x + 1) * padded;
        for (int c = 0; c < shape.fold; ++c) {
            const float value = load(in[x * shape.channels + c]) * scale[c] + shift[c];
            pixel[c] = value < 0 ? 0.0f : value;
        }
    }
}

// Rows of three frames that a row of gates reads: time, then row.
struct Neighbours {
    Neighbours(Band& band, int frame, int row) {
        for (int k = 0; k < 9; ++k) rows[k] = band.normed(frame + k / 3 - 1 + 3, row + k % 3);
    }

    const float* rows[9];
};

// Sums of the gates of a band's rows before tanh, two for each pixel. ``kernel`` is (27, 16), the channels of two pixels:
// time, row, column, channel.
void sum_narrow(Band& band, int frame, int rows, int width, const float* kernel) {
    for (int first = 0; first < width; first += kTile)
        for (int row = 0; row < rows; ++row) {
            const Neighbours near(band, frame, row);
            const int last = first + kTile < width ? first + kTile : width;
            // Two pixels of 8 channels a vector, of which each half of 4 belongs to one gate; four vectors at a time.
            for (int x = first; x < last; x += 8) {
                Vector sums[4] = {};
                for (int k = 0; k < 9; ++k)
                    for (int column = 0; column < 3; ++column) {
                        const float* in = near.rows[k] + (x + column) * 8;
                        const Vector weight = at(kernel + (3 * k + column) * kLanes);
                        for (int pair = 0; pair < 4; ++pair) sums[pair] += weight * at(in + pair * kLanes);
                    }
                const Vector total = pair_sums(pair_sums(sums[0], sums[1]), pair_sums(sums[2], sums[3]));
                put(band.gates(row) + 2 * x, total);
            }
        }
}

constexpr int kTogether = kRegisters / 4;  // pixels whose sums fit into the registers

// Add the products of one vector of channels to the sums of both gates, one number for each lane. ``first`` and
// ``second`` are 1 in the lanes of each gate.
void add_products(const Neighbours& near, int padded, int channel, const float* kernel, Vector first, Vector second, int x,
                  float* totals) {
    Vector sums[kTogether] = {};
    const float* weights = kernel + channel;
    for (int k = 0; k < 9; ++k) {
        const float* in = near.rows[k] + size_t(x) * padded + channel;
        for (int column = 0; column < 3; ++column, weights += padded) {
            const Vector weight = at(weights);
            for (int p = 0; p < kTogether; ++p) sums[p] += weight * at(in + (column + p) * size_t(padded));
        }
    }
    for (int p = 0; p < kTogether; ++p) {
        float* total = totals + size_t(x + p) * 2 * kLanes;
        Vector one = at(total), other = at(total + kLanes);
        one += sums[p] * first, other += sums[p] * second;
        put(total, one), put(total + kLanes, other);
    }
}

// The same for a row of other folds: ``kernel`` is (27, padded).
void sum_wide(Band& band, int frame, int row, Shape shape, const float* kernel) {
    const int padded = band.padded();
    const Neighbours near(band, frame, row);
    float* totals = band.totals();
    std::fill(totals, totals + (shape.width + 8) * 2 * kLanes, 0.0f);
    // Vector by vector, since one of all the pixels of a row stays in the cache and all of them do not.
    for (int channel = 0; channel < padded; channel += kLanes) {
        float belongs[2][kLanes];
        for (int lane = 0; lane < kLanes; ++lane) {
            belongs[0][lane] = channel + lane < shape.fold / 2;
            belongs[1][lane] = 1 - belongs[0][lane];
        }
        for (int x = 0; x < shape.width; x += kTogether)
            add_products(near, padded, channel, kernel, at(belongs[0]), at(belongs[1]), x, totals);
    }
    for (int x = 0; x < shape.width; x += 8) {
        Vector sums[16];
        for (int k = 0; k < 16; ++k) sums[k] = at(totals + (x * 2 + k) * kLanes);
        for (int left = 8; left; left /= 2)  // 16 vectors of 16 numbers -> one vector of their sums
            for (int k = 0; k < left; ++k) sums[k] = pair_sums(sums[2 * k], sums[2 * k + 1]);
        put(band.gates(row) + 2 * x, sums[0]);
    }
}

template <typename T>
void take_row(const T* frame, int y, Shape shape, const float* gates, float* out) {
    if (!frame) {
        std::memset(out, 0, size_t(shape.width) * shape.fold * sizeof(float));
        return;
    }
    const T* in = frame + size_t(y) * shape.width * shape.channels;
    const int half = shape.fold / 2;
    if (shape.fold == 8) {
        for (int x = 0; x < shape.width; ++x)
            store_half(out + x * 8, load_half(in + size_t(x) * shape.channels) * four_of_each(gates + 2 * x));
        return;
    }
    for (int x = 0; x < shape.width; ++x) {
        for (int c = 0; c < half; ++c) out[x * shape.fold + c] = load(in[x * shape.channels + c]) * gates[2 * x];
        for (int c = half; c < shape.fold; ++c)
            out[x * shape.fold + c] = load(in[x * shape.channels + c]) * gates[2 * x + 1];
    }
}

template <typename T>
void shift_row(const T* frame, int y, Shape shape, const float* before, const float* now, const float* after, T* out) {
    const size_t offset = size_t(y) * shape.width * shape.channels;
    const T* in = frame + offset;
    T* target = out + offset;
    const int half = shape.fold / 2;
    std::memcpy(target, in, size_t(shape.width) * shape.channels * sizeof(T));
    if (shape.fold == 8) {
        const HalfBits is_first = {~0u, ~0u, ~0u, ~0u};
        for (int x = 0; x < shape.width; ++x) {
            const Half received = is_first ? load_half(after + x * 8) : load_half(before + x * 8);
            const Half value = load_half(in + size_t(x) * shape.channels) - load_half(now + x * 8) + received;
            store_half(target + size_t(x) * shape.channels, value);
        }
        return;
    }
    for (int x = 0; x < shape.width; ++x) {
        const int p = x * shape.channels, q = x * shape.fold;
        for (int c = 0; c < half; ++c) store(target + p + c, load(in[p + c]) - now[q + c] + after[q + c]);
        for (int c = half; c < shape.fold; ++c) store(target + p + c, load(in[p + c]) - now[q + c] + before[q + c]);
    }
}

// Null stands for a frame beyond the end of a clip, which gives nothing; the first two and the last two may be null.
template <typename T>
void gate_shift(const T* const* frames, int count, Shape shape, const float* scale, const float* shift,
                const float* kernel, const float* bias, T* out) {
    Band band(shape);
    float biases[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) biases[lane] = bias[lane % 2];
    const size_t frame_size = size_t(shape.height) * shape.width * shape.channels;
    for (int top = 0; top < shape.height; top += kBand) {
        const int rows = shape.height - top < kBand ? shape.height - top : kBand;
        // Frame t is normed; then its neighbour before it has both of its own: t - 1 gives; and t - 2 receives.
        for (int t = 0; t < count; ++t) {
            for (int row = 0; row < rows + 2; ++row)
                norm_row(frames[t], top + row - 1, shape, band.padded(), scale, shift, band.normed(t + 3, row));
            if (t < 2) continue;
            if (band.padded() == 8) sum_narrow(band, t - 1, rows, shape.width, kernel);
            else for (int row = 0; row < rows; ++row) sum_wide(band, t - 1, row, shape, kernel);
            for (int row = 0; row < rows; ++row) {
                float* gates = band.gates(row);
                for (int x = 0; x < 2 * shape.width; x += kLanes)
                    for (int lane = 0; lane < kLanes; ++lane)
                        gates[x + lane] = tanh_(gates[x + lane] + biases[lane]);
                take_row(frames[t - 1], top + row, shape, gates, band.taken(t - 1, row));
            }
            if (t < 4) continue;
            for (int row = 0; row < rows; ++row)
                shift_row(frames[t - 2], top + row, shape, band.taken(t - 3, row), band.taken(t - 2, row),
                          band.taken(t - 1, row), out + (t - 4) * frame_size);
        }
    }
}

}  // namespace

extern "C" {

// Gate shift of frames 2 to count - 3. ``kernel`` is (27, 16) for folds of 8 channels, two pixels side by side, and
// (27, padded) for others.
#define GATE_SHIFT(NAME, T)                                                                                           \
    void e2espot_gate_shift_##NAME(const T* const* frames, int count, int height, int width, int channels, int fold,  \
                                   const float* scale, const float* shift, const float* kernel, const float* bias,    \
                                   T* out) {                                                                          \
        gate_shift(frames, count, Shape{height, width, channels, fold}, scale, shift, kernel, bias, out);             \
    }

GATE_SHIFT(fp32, float)
GATE_SHIFT(bf16, BFloat16)

}  // extern "C"
