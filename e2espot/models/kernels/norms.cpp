// Batch norm in training, with what is added to it and the ReLU behind it, in two passes over memory each way.
//
//     forward     moments of x            y  = relu((x - m) * scale + shift + added)
//     backward    sums of g, g * (x - m)  dx = g * scale + (x - m) * slope + offset, g: gradient where y > 0
//
// Rows are pixels, channels-last floats; channels are a multiple of 4.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "vectors.h"

namespace {

constexpr long kRun = 256;   // rows whose sums are formed in single precision, before they are added in double
constexpr long kFirst = 64;  // rows whose mean is subtracted before squares are summed, so that no digits are lost

// Vectors by their length: template arguments would lose that their numbers are not aligned.
struct Eight {
    typedef Half Vector;
    static Vector get(const float* source) { return *reinterpret_cast<const Vector*>(source); }
    static void set(float* target, Vector value) { *reinterpret_cast<Vector*>(target) = value; }
};
struct Four {
    typedef float Vector __attribute__((vector_size(16), aligned(4), may_alias));
    static Vector get(const float* source) { return *reinterpret_cast<const Vector*>(source); }
    static void set(float* target, Vector value) { *reinterpret_cast<Vector*>(target) = value; }
};

// Calls work for all channels, eight at a time, then for the four that may be left.
template <class Work>
inline void for_channels(int channels, Work work) {
    int c = 0;
    for (; c + 8 <= channels; c += 8) work(Eight(), c);
    if (c < channels) work(Four(), c);
}

// Sums in single precision of some rows, which go to sums in double.
class Sums {
public:
    explicit Sums(int channels) : channels_(channels), part_(2 * channels), whole_(2 * channels) {}

    float* first() { return part_.data(); }
    float* second() { return part_.data() + channels_; }

    void end_run() {
        for (size_t i = 0; i < part_.size(); ++i) whole_[i] += part_[i], part_[i] = 0;
    }

    const std::vector<double>& whole() const { return whole_; }

private:
    int channels_;
    std::vector<float> part_;
    std::vector<double> whole_;
};

// ``out`` gets the means and the sums of squared differences from them.
void moments(const float* x, long rows, int channels, double* out) {
    std::vector<float> near(channels);
    for (long row = 0; row < std::min(rows, kFirst); ++row)
        for (int c = 0; c < channels; ++c) near[c] += x[row * channels + c] / float(std::min(rows, kFirst));
    Sums sums(channels);
    float *sum = sums.first(), *square = sums.second();
    for (long start = 0; start < rows; start += kRun) {
        const long end = std::min(rows, start + kRun);
        long row = start;
        for (; row + 4 <= end; row += 4)  // the sums are read and written once for four rows
            for_channels(channels, [&](auto kind, int c) {
                using K = decltype(kind);
                const float* at = x + row * channels + c;
                const auto middle = K::get(near.data() + c);
                const auto d0 = K::get(at) - middle, d1 = K::get(at + channels) - middle;
                const auto d2 = K::get(at + 2 * channels) - middle, d3 = K::get(at + 3 * channels) - middle;
                K::set(sum + c, K::get(sum + c) + ((d0 + d1) + (d2 + d3)));
                K::set(square + c, K::get(square + c) + ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)));
            });
        for (; row < end; ++row)
            for_channels(channels, [&](auto kind, int c) {
                using K = decltype(kind);
                const auto d = K::get(x + row * channels + c) - K::get(near.data() + c);
                K::set(sum + c, K::get(sum + c) + d);
                K::set(square + c, K::get(square + c) + d * d);
            });
        sums.end_run();
    }
    for (int c = 0; c < channels; ++c) {
        const double total = sums.whole()[c];
        out[c] = near[c] + total / double(rows);
        out[channels + c] = std::max(0.0, sums.whole()[channels + c] - total * total / double(rows));
    }
}

struct Norm {
    const float *scale, *shift, *mean;
    bool relu;

    template <class K>
    typename K::Vector of(typename K::Vector x, int c) const {
        return (x - K::get(mean + c)) * K::get(scale + c) + K::get(shift + c);
    }
};

void apply(const Norm& norm, const float* x, long rows, int channels, const float* added, float* y) {
    for (long row = 0; row < rows; ++row, x += channels, y += channels, added += added ? channels : 0)
        for_channels(channels, [&](auto kind, int c) {
            using K = decltype(kind);
            auto value = norm.of<K>(K::get(x + c), c);
            if (added) value += K::get(added + c);
            if (norm.relu) value = value < typename K::Vector{} ? typename K::Vector{} : value;  // what is not finite stays so
            K::set(y + c, value);
        });
}

// The gradient in front of the ReLU, given y or, where nothing was added to the norm, x alone.
template <class K>
inline typename K::Vector before_relu(const Norm& norm, typename K::Vector x, const float* y, const float* gradient, int c) {
    const auto given = K::get(gradient + c);
    if (!norm.relu) return given;
    const auto value = y ? K::get(y + c) : norm.of<K>(x, c);
    return value <= typename K::Vector{} ? typename K::Vector{} : given;
}

// ``out`` gets the sums of the gradient and of its products with x - mean; ``gated``, unless null, the gradient.
void reduce(const Norm& norm, const float* x, long rows, int channels, const float* y, const float* gradient, float* gated,
            double* out) {
    Sums sums(channels);
    float *sum = sums.first(), *product = sums.second();
    for (long start = 0; start < rows; start += kRun) {
        for (long row = start; row < std::min(rows, start + kRun); ++row) {
            for_channels(channels, [&](auto kind, int c) {
                using K = decltype(kind);
                const auto value = K::get(x + c), g = before_relu<K>(norm, value, y, gradient, c);
                if (gated) K::set(gated + c, g);
                K::set(sum + c, K::get(sum + c) + g);
                K::set(product + c, K::get(product + c) + g * (value - K::get(norm.mean + c)));
            });
            x += channels, gradient += channels, y += y ? channels : 0, gated += gated ? channels : 0;
        }
        sums.end_run();
    }
    std::copy(sums.whole().begin(), sums.whole().end(), out);
}

void differentiate(const Norm& norm, const float* x, long rows, int channels, const float* gradient, const float* slope,
                   const float* offset, float* out) {
    for (long row = 0; row < rows; ++row, x += channels, gradient += channels, out += channels)
        for_channels(channels, [&](auto kind, int c) {
            using K = decltype(kind);
            const auto value = K::get(x + c), g = before_relu<K>(norm, value, nullptr, gradient, c);
            const auto centred = value - K::get(norm.mean + c);
            K::set(out + c, g * K::get(norm.scale + c) + (centred * K::get(slope + c) + K::get(offset + c)));
        });
}

}  // namespace

extern "C" {

void e2espot_norm_moments_fp32(const float* x, long rows, int channels, double* out) { moments(x, rows, channels, out); }

void e2espot_norm_apply_fp32(const float* x, long rows, int channels, const float* scale, const float* shift,
                             const float* mean, int relu, const float* added, float* y) {
    apply(Norm{scale, shift, mean, relu != 0}, x, rows, channels, added, y);
}

void e2espot_norm_reduce_fp32(const float* x, long rows, int channels, const float* scale, const float* shift,
                              const float* mean, int relu, const float* y, const float* gradient, float* gated, double* out) {
    reduce(Norm{scale, shift, mean, relu != 0}, x, rows, channels, y, gradient, gated, out);
}

void e2espot_norm_gradient_fp32(const float* x, long rows, int channels, const float* scale, const float* shift,
                                const float* mean, int relu, const float* gradient, const float* slope,
                                const float* offset, float* out) {
    differentiate(Norm{scale, shift, mean, relu != 0}, x, rows, channels, gradient, slope, offset, out);
}
}
