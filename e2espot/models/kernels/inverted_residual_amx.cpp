// Inverted residuals in bfloat16 on CPUs with matrix units (Intel AMX): a product of 16 pixels, 32 inputs and 16 outputs
// is one instruction, so that what takes time is memory, and the depthwise convolution. As in ``inverted_residual.cpp``,
// what lies between the convolutions never leaves the cache:
//
//     rows of the input -> widened, a ring of rows for each panel of 16 channels -> depthwise -> narrowed
//
// The sums, and the widened rows, are float.

#include "inverted_residual.h"
#include "vectors.h"

#if defined(__x86_64__) && defined(__AVX512F__) && defined(__linux__) && __has_include(<amxbf16intrin.h>)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,avx512bf16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512bf16")
#endif

namespace {

using Layer = InvertedResidual<BFloat16>;

constexpr int kPanel = 16;          // channels of a panel, and outputs of a product
constexpr int kBlock = 32;          // inputs of a product
constexpr int kWeights = kPanel * kBlock;
constexpr int kTile = 16;           // pixels of a product
constexpr int kGroup = 4;           // panels whose sums are in tiles at a time
constexpr int kAtOnce = 64;         // pixels whose products are stored before their sums are read: at once is slow
constexpr int kDepthwiseTile = 14;  // pixels that share each tap while it is in a register

// Tiles 0 to 3 are sums, 4 pixels and 5 weights of a whole block, 6 and 7 those of the inputs that are left.
void configure(int pixels, int left) {
    alignas(64) struct {
        uint8_t palette = 1, start = 0, reserved[14] = {};
        uint16_t bytes[16] = {64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {};
    } tiles;
    for (int tile = 0; tile < 5; ++tile) tiles.rows[tile] = uint8_t(pixels);
    tiles.rows[5] = kBlock / 2;
    if (left) {
        tiles.bytes[6] = uint16_t(2 * left), tiles.rows[6] = uint8_t(pixels);
        tiles.bytes[7] = 64, tiles.rows[7] = uint8_t(left / 2);
    }
    asm volatile("" : : "r"(&tiles) : "memory");  // all of it is read; some compilers believe that 8 bytes are
    _tile_loadconfig(&tiles);
}

// Sums of up to four panels, without the bias: tiles that begin with it would take twice as long.
alignas(64) thread_local float sums[kGroup][kAtOnce][kPanel];

// The numbers of tiles are part of an instruction's name, so they cannot be counted.
#define EACH_PANEL(DO)              \
    DO(0)                           \
    if constexpr (panels > 1) DO(1) \
    if constexpr (panels > 2) DO(2) \
    if constexpr (panels > 3) DO(3)

template <int panels>
void multiply_panels(const BFloat16* in, int inputs, const BFloat16* weight, int pixel) {
    const int whole = inputs / kBlock, blocks = (inputs + kBlock - 1) / kBlock;
    const size_t step = inputs * sizeof(BFloat16), panel = size_t(blocks) * kWeights;
    asm volatile("" : : : "memory");  // tiles read what was stored before; the compiler does not know that
#define START(n) { _tile_zero(n); }
    EACH_PANEL(START)
    for (int block = 0; block < whole; ++block, in += kBlock, weight += kWeights) {
        _tile_loadd(4, in, step);
#define ADD(n) { _tile_loadd(5, weight + n * panel, 64); _tile_dpbf16ps(n, 4, 5); }
        EACH_PANEL(ADD)
    }
    if (whole < blocks) {
        _tile_loadd(6, in, step);
#define ADD_LEFT(n) { _tile_loadd(7, weight + n * panel, 64); _tile_dpbf16ps(n, 6, 7); }
        EACH_PANEL(ADD_LEFT)
    }
#define FINISH(n) { _tile_stored(n, sums[n][pixel], sizeof sums[n][pixel]); }
    EACH_PANEL(FINISH)
}

// ``sums`` from ``pixel`` on of a tile's pixels, which lie one after the other, times the weights of ``group`` panels
// from ``panel`` on. ``weight`` is (outputs / 16, inputs / 32, 16, 16 outputs, 2 inputs), zeros where outputs or inputs end.
void multiply(const BFloat16* in, int inputs, const BFloat16* weight, int panel, int group, int pixel) {
    static constexpr decltype(&multiply_panels<1>) functions[] = {multiply_panels<1>, multiply_panels<2>,
                                                                  multiply_panels<3>, multiply_panels<4>};
    const size_t blocks = (inputs + kBlock - 1) / kBlock;
    functions[group - 1](in, inputs, weight + panel * blocks * kWeights, pixel);
}

// Pixels of a tile, so that those of ``count`` pixels are nearly equal: a product takes as long as its pixels are many.
int tile_of(int count) {
    const auto share = [](int whole, int most) { return (whole + (whole + most - 1) / most - 1) / ((whole + most - 1) / most); };
    return share(share(count, kAtOnce), kTile);
}

inline __m512 sum_of(int number, int pixel) { return _mm512_load_ps(sums[number][pixel]); }

// A number that is not finite stays so, but for infinity: these instructions return the second if one is not a number.
inline __m512 relu6(__m512 value) { return _mm512_min_ps(_mm512_set1_ps(6), _mm512_max_ps(_mm512_setzero_ps(), value)); }

inline __m512 widened(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

inline __m256i rounded(__m512 value) { return (__m256i)_mm512_cvtneps_pbh(value); }

// Memory of this thread for ``count`` numbers, with what is left in it.
template <typename T>
T* scratch(size_t count) {
    static thread_local std::unique_ptr<Aligned<T>> memory;
    static thread_local size_t size = 0;
    if (size < count) memory = std::make_unique<Aligned<T>>(size = count);
    return memory->data();
}

// Widened rows of a frame, for each panel a ring with zeros around the frame.
class Ring {
  public:
    Ring(const Layer& layer)
        : layer_(layer),
          tile_(tile_of(layer.width)),
          kept_(layer.kernel + layer.stride * (layer.band - 1)),
          row_(size_t(layer.left + layer.width + layer.right()) * kPanel),
          values_(scratch<float>(size_t(layer.wide / kPanel) * kept_ * row_)) {
        for (size_t row = 0; row < size_t(layer.wide / kPanel) * kept_; ++row) {
            std::memset(values_ + row * row_, 0, layer.left * kPanel * sizeof(float));
            std::memset(values_ + (row + 1) * row_ - layer.right() * kPanel, 0, layer.right() * kPanel * sizeof(float));
        }
    }

    const float* row(int panel, int y) { return at(panel, y); }

    // Rows y to ``end`` of a frame.
    void write(const BFloat16* frame, int y, int end) {
        if (layer_.widen) configure(tile_, layer_.inputs % kBlock);
        for (; y < end; ++y) {
            const BFloat16* in = frame + size_t(y) * layer_.width * layer_.inputs;
            if (y < 0 || y >= layer_.height) clear(y);
            else if (layer_.widen) widen(in, y);
            else copy(in, y);
        }
    }

  private:
    float* at(int panel, int y) {  // y >= -kernel
        return values_ + (size_t(panel) * kept_ + (y + layer_.kernel) % kept_) * row_;
    }

    void clear(int y) {
        for (int panel = 0; panel < layer_.wide / kPanel; ++panel)
            std::memset(at(panel, y) + layer_.left * kPanel, 0, size_t(layer_.width) * kPanel * sizeof(float));
    }

    void copy(const BFloat16* in, int y) {
        for (int panel = 0; panel < layer_.wide / kPanel; ++panel) {
            float* out = at(panel, y) + layer_.left * kPanel;
            for (int x = 0; x < layer_.width; ++x) {
                const auto* pixel = reinterpret_cast<const __m256i*>(in + size_t(x) * layer_.inputs + panel * kPanel);
                _mm512_store_ps(out + x * kPanel, widened(_mm256_loadu_si256(pixel)));
            }
        }
    }

    void widen(const BFloat16* in, int y) {
        const int panels = layer_.wide / kPanel;
        in_tiles(layer_.width, kAtOnce, [&](int begin, int count) {
            for (int panel = 0; panel < panels; panel += kGroup) {
                const int group = std::min(kGroup, panels - panel);
                for (int x = 0; x < count; x += tile_) {
                    const int first = std::min(x, count - tile_);  // the last tile overlaps the one before
                    multiply(in + size_t(begin + first) * layer_.inputs, layer_.inputs, layer_.widen, panel, group, first);
                }
                for (int number = 0; number < group; ++number) {
                    const __m512 bias = _mm512_loadu_ps(layer_.widen_bias + (panel + number) * kPanel);
                    float* out = at(panel + number, y) + (layer_.left + begin) * kPanel;
                    for (int p = 0; p < count; ++p)
                        _mm512_store_ps(out + p * kPanel, relu6(_mm512_add_ps(sum_of(number, p), bias)));
                }
            }
        });
    }

    const Layer& layer_;
    int tile_, kept_;
    size_t row_;
    float* values_;
};

// 16 channels of a row of the depthwise convolution. ``lines`` are its rows of the input, ``step`` channels apart the
// pixels of the result.
template <int kernel, int stride, int pixels>
void depthwise_tile(const float* const* lines, int first, const float* taps, const float* bias, int step,
                    BFloat16* out) {
    __m512 sums[pixels];
    for (int p = 0; p < pixels; ++p) sums[p] = _mm512_loadu_ps(bias);
    for (int dy = 0; dy < kernel; ++dy) {
        const float* in = lines[dy] + size_t(first) * stride * kPanel;
        for (int dx = 0; dx < kernel; ++dx, in += kPanel, taps += kPanel) {
            const __m512 weight = _mm512_loadu_ps(taps);
            for (int p = 0; p < pixels; ++p)
                sums[p] = _mm512_fmadd_ps(weight, _mm512_load_ps(in + p * stride * kPanel), sums[p]);
        }
    }
    for (int p = 0; p < pixels; ++p)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + size_t(first + p) * step), rounded(relu6(sums[p])));
}

using Depthwise = void (*)(const float* const*, int, const float*, const float*, int, BFloat16*);

template <int kernel, int stride, int... counts>
constexpr std::array<Depthwise, sizeof...(counts)> depthwise_of(std::integer_sequence<int, counts...>) {
    return {depthwise_tile<kernel, stride, counts + 1>...};
}

// Outputs of some pixels in a row.
void narrow(const Layer& layer, const BFloat16* in, int pixels, const BFloat16* added, BFloat16* out) {
    const int panels = (layer.outputs + kPanel - 1) / kPanel, tile = tile_of(pixels);
    configure(tile, layer.wide % kBlock);
    in_tiles(pixels, kAtOnce, [&](int begin, int count) {
        for (int panel = 0; panel < panels; panel += kGroup) {
            const int group = std::min(kGroup, panels - panel);
            for (int x = 0; x < count; x += tile) {
                const int first = std::min(x, count - tile);
                multiply(in + size_t(begin + first) * layer.wide, layer.wide, layer.narrow, panel, group, first);
            }
            for (int number = 0; number < group; ++number) {
                const int channel = (panel + number) * kPanel;
                const __m512 bias = _mm512_loadu_ps(layer.narrow_bias + channel);
                const auto mask = __mmask16((1u << std::min(kPanel, layer.outputs - channel)) - 1);
                for (int p = 0; p < count; ++p) {
                    const size_t place = size_t(begin + p) * layer.outputs + channel;
                    __m512 value = _mm512_add_ps(sum_of(number, p), bias);
                    if (added) value = _mm512_add_ps(value, widened(_mm256_maskz_loadu_epi16(mask, added + place)));
                    _mm256_mask_storeu_epi16(out + place, mask, rounded(value));
                }
            }
        }
    });
}

// Rows ``first`` to ``last`` of the output of a frame.
template <int kernel, int stride>
void inverted_residual(const Layer& layer, const BFloat16* frame, int first, int last, BFloat16* out) {
    static constexpr auto tiles = depthwise_of<kernel, stride>(std::make_integer_sequence<int, kDepthwiseTile>());
    Ring ring(layer);
    BFloat16* between = scratch<BFloat16>(size_t(layer.band) * layer.columns * layer.wide);
    const size_t numbers = size_t(layer.columns) * layer.outputs;
    int next = first * stride - layer.top;  // row of the input
    for (int y = first; y < last; y += layer.band) {
        const int rows = std::min(layer.band, last - y), begin = y * stride - layer.top;
        const int end = begin + (rows - 1) * stride + kernel;
        ring.write(frame, std::max(next, begin), end);
        next = end;
        for (int channel = 0; channel < layer.wide; channel += kPanel)
            for (int row = 0; row < rows; ++row) {
                const float* lines[kernel];
                for (int dy = 0; dy < kernel; ++dy) lines[dy] = ring.row(channel / kPanel, begin + row * stride + dy);
                BFloat16* target = between + size_t(row) * layer.columns * layer.wide + channel;
                in_tiles(layer.columns, kDepthwiseTile, [&](int start, int size) {
                    tiles[size - 1](lines, start, layer.taps + size_t(channel) * kernel * kernel,
                                    layer.taps_bias + channel, layer.wide, target);
                });
            }
        narrow(layer, between, rows * layer.columns, layer.residual ? frame + y * numbers : nullptr,
               out + y * numbers);
    }
    _tile_release();  // or every change of threads saves the tiles
}

}  // namespace

// ``taps`` is (wide / 16, kernel, kernel, 16); the bias of the outputs is as long as their panels.
extern "C" void e2espot_inverted_residual_bf16(const Layer* layer, const BFloat16* frames, int parts, int first,
                                               int last, BFloat16* out) {
    const auto function = layer->kernel == 3 ? (layer->stride == 1 ? inverted_residual<3, 1> : inverted_residual<3, 2>)
                                             : (layer->stride == 1 ? inverted_residual<5, 1> : inverted_residual<5, 2>);
    for_parts(*layer, frames, parts, first, last, out, function);
}

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

// Ask the system for the use of the tiles, which it saves for each thread only then; 0 if this process may use them.
extern "C" int e2espot_request_amx() {
    constexpr int kRequest = 0x1023, kTiles = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return int(syscall(SYS_arch_prctl, kRequest, kTiles));
}

#endif
