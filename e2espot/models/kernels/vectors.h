// Number formats, and vectors as wide as the registers that a compiler may use.

#pragma once

#include <cstdint>
#include <cstring>

struct BFloat16 {
    uint16_t bits;
};

namespace {

inline float load(float value) { return value; }

inline float load(BFloat16 value) {
    uint32_t bits = uint32_t(value.bits) << 16;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
}

inline void store(float* target, float value) { *target = value; }

inline void store(BFloat16* target, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    // To the nearest, ties to even, as hardware rounds: 0x...8000 is half a step.
    target->bits = uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

constexpr int kLanes = 16;   // numbers of a vector

// Numbers are read through these types and not by memcpy, which compilers may split into halves on the stack: reading a
// whole from there waits for both.
typedef float Half __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t HalfBits __attribute__((vector_size(32)));
typedef uint16_t ShortBits __attribute__((vector_size(16)));

inline Half load_half(const float* source) { return *reinterpret_cast<const Half*>(source); }

#ifdef __AVX512F__
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
constexpr int kRegisters = 32;

inline Vector at(const float* source) { return *reinterpret_cast<const Vector*>(source); }
inline void put(float* target, Vector value) { *reinterpret_cast<Vector*>(target) = value; }

// Sums of neighbours: a0 + a1, a2 + a3, ..., b0 + b1, ...
inline Vector pair_sums(Vector a, Vector b) {
#ifdef __clang__  // the compilers name this differently
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#else
    typedef int32_t Numbers __attribute__((vector_size(sizeof(Vector))));
    constexpr Numbers even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, even + 1);
#endif
}
#else
// Two of a shorter vector: compilers keep a vector that is longer than a register in memory.
struct Vector {
    Half low, high;
};
constexpr int kRegisters = 16;

inline Vector at(const float* source) { return {load_half(source), load_half(source + 8)}; }
inline void put(float* target, Vector value) {
    *reinterpret_cast<Half*>(target) = value.low;
    *reinterpret_cast<Half*>(target + 8) = value.high;
}
inline Vector operator*(Vector a, Vector b) { return {a.low * b.low, a.high * b.high}; }
inline Vector operator*(float a, Vector b) { return {a * b.low, a * b.high}; }
inline void operator+=(Vector& sum, Vector added) { sum.low += added.low, sum.high += added.high; }

inline Half pair_sums(Half a, Half b) {
#ifdef __clang__
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
           __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
    typedef int32_t Numbers __attribute__((vector_size(sizeof(Half))));
    constexpr Numbers even = {0, 2, 4, 6, 8, 10, 12, 14};
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, even + 1);
#endif
}

inline Vector pair_sums(Vector a, Vector b) { return {pair_sums(a.low, a.high), pair_sums(b.low, b.high)}; }
#endif

inline Half load_half(const BFloat16* source) {
    ShortBits bits;
    std::memcpy(&bits, source, sizeof bits);
    const HalfBits wide = __builtin_convertvector(bits, HalfBits) << 16;
    Half value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

inline void store_half(float* target, Half value) { *reinterpret_cast<Half*>(target) = value; }

inline void store_half(BFloat16* target, Half value) {
    HalfBits bits;
    std::memcpy(&bits, &value, sizeof bits);
    const ShortBits rounded = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, ShortBits);
    std::memcpy(target, &rounded, sizeof rounded);
}

// Four times the first number, four times the second. Eight are read.
inline Half four_of_each(const float* pair) {
#ifdef __clang__
    const Half value = load_half(pair);
    return __builtin_shufflevector(value, value, 0, 0, 0, 0, 1, 1, 1, 1);
#else  // not Half{a, a, a, a, b, b, b, b}, which g++ assembles on the stack, and then waits for
    const HalfBits which = {0, 0, 0, 0, 1, 1, 1, 1};
    return __builtin_shuffle(load_half(pair), which);
#endif
}

// A number that is not finite stays so.
inline Half rectified(Half value) {
    const Half zero = {};
    return value < zero ? zero : value;
}

}  // namespace
