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

// Sums of the stem that fit into the registers: of 8 pixels with 32 outputs, or of 6 with 16.
constexpr int kStemPixels = kRegisters == 32 ? 8 : 6, kStemVectors = kRegisters == 32 ? 2 : 1;

template <typename T>
void stem_pixels(const float* const* lines, int first, const float* weight, const float* bias, float most, int valid,
                 T* out) {
    const Half limit = {most, most, most, most, most, most, most, most};
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
        for (int o = 0; o < kStemVectors * kLanes; o += 8) {
            const Half value = rectified(load_half(values[p] + o));
            store_half(out + p * 32 + o, value > limit ? limit : value);
        }
}

// min(relu(conv3x3(levels * scale + shift) + bias), most), stride 2, zeros around the frame; 32 outputs. ``scale_row``
// and ``shift_row`` are as long as a row. ``weight`` is (3, 3, 3 inputs, 32 outputs). ``top`` and ``left`` are rows and
// columns of zeros before the frame, 0 or 1.
template <typename T>
void stem(const uint8_t* levels, int count, int height, int width, int top, int left, const float* scale_row,
          const float* shift_row, const float* weight, const float* bias, float most, T* out) {
    const int rows = (height + 1) / 2, columns = (width + 1) / 2, numbers = 3 * width;
    Rows input(width, 3, 3);
    for (int t = 0; t < count; ++t) {
        const uint8_t* frame = levels + size_t(t) * height * numbers;
        int written = -1;
        input.clear(-1);
        for (int y = 0; y < rows; ++y) {
            for (; written < 2 * y + 2 - top; ++written) {
                const int next = written + 1;
                if (next >= height) {
                    input.clear(next);
                    continue;
                }
                float* target = input.inside(next);
                const uint8_t* source = frame + size_t(next) * numbers;
                for (int i = 0; i < numbers; ++i) target[i] = float(source[i]) * scale_row[i] + shift_row[i];
            }
            const float* lines[3];
            for (int dy = 0; dy < 3; ++dy) lines[dy] = input.row(2 * y - top + dy) + 3 * (1 - left);
            T* target = out + (size_t(t) * rows + y) * columns * 32;
            for (int x = 0; x < columns; x += kStemPixels) {
                const int valid = columns - x < kStemPixels ? columns - x : kStemPixels;
                for (int o = 0; o < 32; o += kStemVectors * kLanes)
                    stem_pixels(lines, 6 * x, weight + o, bias + o, most, valid, target + size_t(x) * 32 + o);
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
            const float* factors = gains + size_t(t) * channels;
            int c = 0;
            for (; c + 8 <= channels; c += 8) store_half(pixel + c, load_half(pixel + c) * load_half(factors + c));
            for (; c < channels; ++c) store(pixel + c, load(pixel[c]) * factors[c]);
        }
}

constexpr int kMeanRun = 64;  // pixels whose sum is added to the total at once: rounding stays small in large frames

// Mean of each channel over the pixels of each frame.
template <typename T>
void means(const T* frames, int count, int pixels, int channels, float* out) {
    std::vector<float> run(channels);
    for (int t = 0; t < count; ++t) {
        const T* frame = frames + size_t(t) * pixels * channels;
        float* total = out + size_t(t) * channels;
        std::fill(total, total + channels, 0.0f);
        for (int first = 0; first < pixels; first += kMeanRun) {
            const int last = first + kMeanRun < pixels ? first + kMeanRun : pixels;
            std::fill(run.begin(), run.end(), 0.0f);
            for (int p = first; p < last; ++p) {
                const T* pixel = frame + size_t(p) * channels;
                int c = 0;
                for (; c + 8 <= channels; c += 8)
                    store_half(run.data() + c, load_half(run.data() + c) + load_half(pixel + c));
                for (; c < channels; ++c) run[c] += load(pixel[c]);
            }
            for (int c = 0; c < channels; ++c) total[c] += run[c];
        }
        for (int c = 0; c < channels; ++c) total[c] /= float(pixels);
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

#define KERNELS(NAME, T)                                                                                              \
    void e2espot_stem_##NAME(const uint8_t* levels, int count, int height, int width, int top, int left,              \
                             const float* scale_row, const float* shift_row, const float* weight, const float* bias,  \
                             float most, T* out) {                                                                    \
        stem(levels, count, height, width, top, left, scale_row, shift_row, weight, bias, most, out);                 \
    }                                                                                                                 \
    void e2espot_motion_##NAME(const void* const* frames, const int32_t* is_float, int count, int times, int height,  \
                               int width, float middle, const float* weight, const float* bias, T* out) {             \
        motion(frames, is_float, count, times, height, width, middle, weight, bias, out);                             \
    }                                                                                                                 \
    void e2espot_scale_##NAME(T* frames, int count, int pixels, int channels, const float* gains) {                   \
        scale(frames, count, pixels, channels, gains);                                                                \
    }                                                                                                                 \
    void e2espot_means_##NAME(const T* frames, int count, int pixels, int channels, float* out) {                     \
        means(frames, count, pixels, channels, out);                                                                  \
    }

KERNELS(fp32, float)
KERNELS(bf16, BFloat16)

}  // extern "C"
