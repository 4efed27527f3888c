// Kernels for which a CPU's library of convolutions has no fast form. ``native.py`` compiles and calls them.
//
// Frames are channels-last: pixel (y, x) of a frame begins at (y * width + x) * channels. Numbers are float, or bfloat16,
// which is computed in float. Loops are written so that a compiler turns them into vector instructions; nothing here
// names an instruction set.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "rows.h"
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

// Four times a, four times b.
inline Half halves(float a, float b) { return Half{a, a, a, a, b, b, b, b}; }

struct Shape {
    int height, width, channels, fold;
};

// What the rows of one band need: normed frames with a border of zeros, and what each frame gives away.
class Band {
  public:
    Band(Shape shape)
        : shape_(shape),
          // 8 channels: two pixels fill a vector. Else whole vectors for each pixel: 12 -> 16, 40 -> 48.
          padded_(shape.fold == 8 ? 8 : (shape.fold + kLanes - 1) / kLanes * kLanes),
          row_((shape.width + 2 + 8) * padded_),
          normed_(3 * (kBand + 2) * row_),
          taken_(3 * kBand * shape.width * shape.fold),
          gates_(2 * (shape.width + 8)) {}

    int padded() const { return padded_; }
    float* normed(int frame, int row) { return normed_.data() + ((frame % 3) * (kBand + 2) + row) * size_t(row_); }
    float* taken(int frame, int row) {
        return taken_.data() + ((frame % 3) * kBand + row) * size_t(shape_.width) * shape_.fold;
    }
    float* gates() { return gates_.data(); }

  private:
    Shape shape_;
    int padded_;
    int row_;
    std::vector<float> normed_, taken_, gates_;
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

// Sums of a row's gates before tanh, two for each pixel. ``kernel`` is (27, padded): time, row, column, channel.
void sum_narrow(const Neighbours& near, Shape shape, const float* kernel, float* out) {
    // Two pixels of 8 channels a vector, of which each half of 4 belongs to one gate; four vectors at a time.
    for (int x = 0; x < shape.width; x += 8) {
        Vector sums[4] = {};
        for (int k = 0; k < 9; ++k)
            for (int column = 0; column < 3; ++column) {
                const float* in = near.rows[k] + (x + column) * 8;
                const Vector weight = at(kernel + (3 * k + column) * kLanes);
                for (int pair = 0; pair < 4; ++pair) sums[pair] += weight * at(in + pair * kLanes);
            }
        const Vector total = pair_sums(pair_sums(sums[0], sums[1]), pair_sums(sums[2], sums[3]));
        put(out + 2 * x, total);
    }
}

constexpr int kTogether = kRegisters / 4;  // pixels whose sums fit into the registers

// Products of ``kTogether`` pixels for both gates, one number for each lane.
void sum_pixels(const Neighbours& near, int padded, int half, const float* kernel, int x, Vector* out) {
    const int vectors = padded / kLanes, first_end = (half + kLanes - 1) / kLanes, second_begin = half / kLanes;
    const float* second = kernel + 27 * padded;
    Vector sums[2 * kTogether] = {};
    for (int tap = 0; tap < 27; ++tap) {
        const float* in = near.rows[tap / 3] + size_t(x + tap % 3) * padded;
        for (int k = 0; k < first_end; ++k) {
            const Vector weight = at(kernel + tap * padded + k * kLanes);
            for (int p = 0; p < kTogether; ++p) sums[2 * p] += weight * at(in + p * padded + k * kLanes);
        }
        for (int k = second_begin; k < vectors; ++k) {
            const Vector weight = at(second + tap * padded + k * kLanes);
            for (int p = 0; p < kTogether; ++p) sums[2 * p + 1] += weight * at(in + p * padded + k * kLanes);
        }
    }
    for (int k = 0; k < 2 * kTogether; ++k) out[k] = sums[k];
}

// The same for other folds: ``kernel`` is (2, 27, padded), zero in the other gate's half.
void sum_wide(const Neighbours& near, int padded, Shape shape, const float* kernel, float* out) {
    for (int x = 0; x < shape.width; x += 8) {
        Vector sums[16] = {};  // two for each pixel
        for (int p = 0; p < 8; p += kTogether) sum_pixels(near, padded, shape.fold / 2, kernel, x + p, sums + 2 * p);
        for (int left = 8; left; left /= 2)  // 16 vectors of 16 numbers -> one vector of their sums
            for (int k = 0; k < left; ++k) sums[k] = pair_sums(sums[2 * k], sums[2 * k + 1]);
        put(out + 2 * x, sums[0]);
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
            store_half(out + x * 8, load_half(in + size_t(x) * shape.channels) * halves(gates[2 * x], gates[2 * x + 1]));
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
            for (int row = 0; row < rows; ++row) {
                float* gates = band.gates();
                const Neighbours near(band, t - 1, row);
                if (band.padded() == 8) sum_narrow(near, shape, kernel, gates);
                else sum_wide(near, band.padded(), shape, kernel, gates);
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

// ---- Convolutions -------------------------------------------------------------------------------------------------

// Sums of the stem that fit into the registers: of 8 pixels with 32 outputs, or of 6 with 16.
constexpr int kStemPixels = kRegisters == 32 ? 8 : 6, kStemVectors = kRegisters == 32 ? 2 : 1;

template <typename T>
void stem_pixels(const float* const* lines, int first, const float* weight, const float* bias, int valid, T* out) {
    Vector sums[kStemPixels][kStemVectors];
    for (int p = 0; p < kStemPixels; ++p)
        for (int k = 0; k < kStemVectors; ++k) sums[p][k] = at(bias + k * kLanes);
    for (int dy = 0; dy < 3; ++dy)
        for (int tap = 0; tap < 9; ++tap) {  // column and colour: 9 numbers in a row
            const float* in = lines[dy] + first + tap;
            for (int k = 0; k < kStemVectors; ++k) {
                const Vector w = at(weight + (dy * 9 + tap) * 32 + k * kLanes);
                for (int p = 0; p < kStemPixels; ++p) sums[p][k] += in[6 * p] * w;
            }
        }
    float values[kStemPixels][kStemVectors * kLanes];
    for (int p = 0; p < kStemPixels; ++p)
        for (int k = 0; k < kStemVectors; ++k) put(values[p] + k * kLanes, sums[p][k]);
    for (int p = 0; p < valid; ++p)
        for (int o = 0; o < kStemVectors * kLanes; o += 8) store_half(out + p * 32 + o, rectified(load_half(values[p] + o)));
}

// relu(conv3x3(levels * scale + shift) + bias), stride 2, zeros around the frame; 32 outputs. ``scale_row`` and
// ``shift_row`` are as long as a row. ``weight`` is (3, 3, 3 inputs, 32 outputs).
template <typename T>
void stem(const uint8_t* levels, int count, int height, int width, const float* scale_row, const float* shift_row,
          const float* weight, const float* bias, T* out) {
    const int rows = (height + 1) / 2, columns = (width + 1) / 2, numbers = 3 * width;
    Rows input(width, 3, 3);
    for (int t = 0; t < count; ++t) {
        const uint8_t* frame = levels + size_t(t) * height * numbers;
        int written = -1;
        input.clear(-1);
        for (int y = 0; y < rows; ++y) {
            for (; written < 2 * y + 1; ++written) {
                const int next = written + 1;
                if (next >= height) {
                    input.clear(next);
                    continue;
                }
                float* target = input.inside(next);
                const uint8_t* source = frame + size_t(next) * numbers;
                for (int i = 0; i < numbers; ++i) target[i] = float(source[i]) * scale_row[i] + shift_row[i];
            }
            const float* lines[3] = {input.row(2 * y - 1), input.row(2 * y), input.row(2 * y + 1)};
            T* target = out + (size_t(t) * rows + y) * columns * 32;
            for (int x = 0; x < columns; x += kStemPixels) {
                const int valid = columns - x < kStemPixels ? columns - x : kStemPixels;
                for (int o = 0; o < 32; o += kStemVectors * kLanes)
                    stem_pixels(lines, 6 * x, weight + o, bias + o, valid, target + size_t(x) * 32 + o);
            }
        }
    }
}

// x *= gain, one factor for each frame and channel.
template <typename T>
void scale(T* frames, int count, int pixels, int channels, const float* gains) {
    for (int t = 0; t < count; ++t)
        for (int p = 0; p < pixels; ++p) {
            T* pixel = frames + (size_t(t) * pixels + p) * channels;
            for (int c = 0; c < channels; ++c) store(pixel + c, load(pixel[c]) * gains[t * channels + c]);
        }
}

constexpr int kMotionPixels = 4;  // whose sums are formed at a time: one alone would wait for each product

template <int times, typename T>
void motion_row(const float* const* lines, int width, const float* weight, Half start, T* out) {
    Half weights[3 * times];
    for (int k = 0; k < 3 * times; ++k) weights[k] = load_half(weight + 8 * k);
    for (int x = 0; x < width; x += kMotionPixels) {
        Half sums[kMotionPixels];
        for (int p = 0; p < kMotionPixels; ++p) sums[p] = start;
        for (int k = 0; k < 3 * times; ++k)
            for (int p = 0; p < kMotionPixels; ++p) sums[p] += lines[k / 3][3 * (x + p) + k % 3] * weights[k];
        // Three numbers too many, which the next pixel overwrites.
        for (int p = 0; p < kMotionPixels; ++p) store_half(out + 5 * (x + p), sums[p]);
    }
}

// Colours and differences between frames: for each pixel 5 sums over 3 colours of ``times`` frames in a row, 1 or 3. A
// frame has levels of 0 to 255 as bytes, or as floats where ``is_float`` is set; they count from ``middle``, so that sums
// which cancel are of small numbers. ``weight`` is (times, 3 colours, 8), zero from the sixth on; ``bias`` is (8,). The
// first frame of the output reads the first ``times`` frames.
template <typename T>
void motion(const void* const* frames, const int32_t* is_float, int count, int times, int height, int width,
            float middle, const float* weight, const float* bias, T* out) {
    const int numbers = 3 * width, row = numbers + 3 * kMotionPixels;
    std::vector<float> lines(size_t(times) * row);
    std::vector<T> outputs(size_t(width + kMotionPixels) * 5 + 8);
    const Half start = load_half(bias);
    // Row by row for all frames, so that a row is read once: it is the last of three, then the middle, then the first.
    for (int y = 0; y < height; ++y)
        for (int t = 0; t < count; ++t) {
            float* line = lines.data() + size_t(t % times) * row;
            if (is_float[t]) {
                const float* source = static_cast<const float*>(frames[t]) + size_t(y) * numbers;
                for (int i = 0; i < numbers; ++i) line[i] = source[i] - middle;
            } else {
                const uint8_t* source = static_cast<const uint8_t*>(frames[t]) + size_t(y) * numbers;
                for (int i = 0; i < numbers; ++i) line[i] = float(source[i]) - middle;
            }
            if (t < times - 1) continue;
            const float* recent[3];
            for (int k = 0; k < times; ++k) recent[k] = lines.data() + size_t((t + 1 + k) % times) * row;
            if (times == 3) motion_row<3>(recent, width, weight, start, outputs.data());
            else motion_row<1>(recent, width, weight, start, outputs.data());
            std::memcpy(out + (size_t(t - times + 1) * height + y) * width * 5, outputs.data(), size_t(width) * 5 * sizeof(T));
        }
}

}  // namespace

extern "C" {

// Gate shift of frames 2 to count - 3. ``kernel`` is (27, 16) for folds of 8 channels, two pixels side by side, and
// (2, 27, padded) for others.
#define KERNELS(NAME, T)                                                                                              \
    void e2espot_gate_shift_##NAME(const T* const* frames, int count, int height, int width, int channels, int fold,  \
                                   const float* scale, const float* shift, const float* kernel, const float* bias,    \
                                   T* out) {                                                                          \
        gate_shift(frames, count, Shape{height, width, channels, fold}, scale, shift, kernel, bias, out);             \
    }                                                                                                                 \
    void e2espot_stem_##NAME(const uint8_t* levels, int count, int height, int width, const float* scale_row,         \
                             const float* shift_row, const float* weight, const float* bias, T* out) {                \
        stem(levels, count, height, width, scale_row, shift_row, weight, bias, out);                                  \
    }                                                                                                                 \
    void e2espot_motion_##NAME(const void* const* frames, const int32_t* is_float, int count, int times, int height,  \
                               int width, float middle, const float* weight, const float* bias, T* out) {             \
        motion(frames, is_float, count, times, height, width, middle, weight, bias, out);                             \
    }                                                                                                                 \
    void e2espot_scale_##NAME(T* frames, int count, int pixels, int channels, const float* gains) {                   \
        scale(frames, count, pixels, channels, gains);                                                                \
    }

KERNELS(fp32, float)
KERNELS(bf16, BFloat16)

}  // extern "C"
