// Compiled with the flags of avx512bf16 and AVX512_VBMI. Nibbles are looked up as bytes, twice their value plus 12, so
// that all are whole numbers of at least 0, and meet activations of two bytes each in the processor's products of four
// bytes. All sums of a block are exact; whole_kernels.h says how they are added.
//
// One or two tokens go row by row, from its first byte to its last: one token out of memory reads at 0.9 of the
// bandwidth. More tokens meet panels of 16 rows, four columns of them in a register, so that each has its row in a lane:
// 200 GFLOP/s with one core at 2.0 GHz, 0.8 of what its products of bytes allow.

#include "int8_rounding.h"
#include "operands.h"
#include "whole_kernels.h"

namespace ossia::vbmi {
namespace {

using namespace OSSIA_ISA;

// Blocks whose bytes fill a register; and blocks whose sums do, of a row.
constexpr int64_t kGroup = 4, kSums = 16;

// Of a token's group of blocks: the even-numbered columns (low nibbles) and the odd-numbered (high nibbles), a byte of
// each part of n = 128 h + l.
struct Columns {
  int8_t high[2][64], low[2][64];
};

// A packed token is its scale, which has a cache line to itself; its columns, group by group; and for each block what
// the lookup's 12 adds to its sum, as the sums lie in registers. Zeros fill it up to 16 blocks.
struct Shape {
  int64_t blocks;

  int64_t registers() const { return (blocks + kSums - 1) / kSums; }
  int64_t offsets() const { return kLine + registers() * kSums / kGroup * static_cast<int64_t>(sizeof(Columns)); }
  int64_t bytes() const { return offsets() + registers() * kLine; }
};

// Where the sum of a block b lies in a register: 0, 4, 8, 12, 1, 5, ... are the blocks of its lanes.
constexpr int64_t lane_of(int64_t b) { return b % kGroup * kGroup + b % kSums / kGroup; }

OSSIA_INLINE float scale_of(const char* token) {
  float scale;
  memcpy(&scale, token, sizeof(scale));
  return scale;
}

// Of 64 bytes, the weights of the low nibbles and of the high nibbles. The table is there four times, so that the upper
// two of the six bits that a lookup takes do not matter and no nibble has to be cut out.
OSSIA_INLINE void look_up(__m512i bytes, __m512i& even, __m512i& odd) {
  const __m512i table =
      _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  even = _mm512_permutexvar_epi8(bytes, table);
  odd = _mm512_permutexvar_epi8(_mm512_srli_epi16(bytes, 4), table);
}

// A row times few tokens ----------------------------------------------------------------------------------------------

// What is asked for ahead: for the first cache within a row, which the requests to the second have brought there, and
// for the second. 4 to 46 KB were the same within 3 %; without the first 2 % slower, without both 30 %.
constexpr int64_t kSoon = 512, kLater = 16 * 1024;

// The sum of each lane of a, b, c and d with its three neighbours: part p of 128 bits has those of a's part p, b's, c's
// and d's.
OSSIA_INLINE __m512i sums_of_four(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// 16 scales as float32, where the sums of their blocks lie: a byte goes to the top of its lane and one step down, to
// where float32 has its exponent.
OSSIA_INLINE F32 factors_of(__m128i scales) {
  const __m512i order = _mm512_setr_epi32(0x00808080, 0x04808080, 0x08808080, 0x0C808080, 0x01808080, 0x05808080,
                                          0x09808080, 0x0D808080, 0x02808080, 0x06808080, 0x0A808080, 0x0E808080,
                                          0x03808080, 0x07808080, 0x0B808080, 0x0F808080);
  const __m512i tops = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(scales), order);
  return {_mm512_castsi512_ps(_mm512_srli_epi32(tops, 1))};
}

// `count` blocks of a row from block b on, up to a group; what lies beyond them is not read.
OSSIA_INLINE __m512i bytes_of(const Mxfp4Rows& row, int64_t b, int64_t count) {
  if (count >= kGroup) return _mm512_loadu_si512(row.at(0, b));
  return _mm512_maskz_loadu_epi8((uint64_t{1} << count * kBlockBytes) - 1, row.at(0, b));
}
OSSIA_INLINE __m128i scales_of(const Mxfp4Rows& row, int64_t b, int64_t count) {
  return _mm_maskz_loadu_epi8(first_lanes(static_cast<int>(least(kSums, count))), row.scales + b);
}

// Asks for what comes after block b. Not a lambda: the compiler drops a call that computes nothing.
OSSIA_INLINE void ask(const Mxfp4Rows& row, const Mxfp4Rows& later, int64_t b) {
  prefetch_far(later.at(0, b));
  prefetch(row.at(0, b) + kSoon);
}

// `count` blocks of a row, up to 16, times M tokens, from block b on, a multiple of 16. `later` is asked for meanwhile.
template <int M>
OSSIA_INLINE void add_blocks(const Mxfp4Rows& row, const Mxfp4Rows& later, int64_t b, int64_t count,
                             const char* const (&tokens)[M], int64_t offsets, F32 (&sums)[M]) {
  __m512i parts[M][4];
#pragma GCC unroll 4
  for (int64_t g = 0; g < 4; ++g) {
    if (g * kGroup >= count) {
#pragma GCC unroll 2
      for (int m = 0; m < M; ++m) parts[m][g] = _mm512_setzero_si512();
      continue;
    }
    ask(row, later, b + g * kGroup);
    __m512i even, odd;
    look_up(bytes_of(row, b + g * kGroup, count - g * kGroup), even, odd);
#pragma GCC unroll 2
    for (int m = 0; m < M; ++m) {
      const Columns& x = reinterpret_cast<const Columns*>(tokens[m] + kLine)[b / kGroup + g];
      __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), even, _mm512_loadu_si512(x.high[0]));
      sum = _mm512_slli_epi32(_mm512_dpbusd_epi32(sum, odd, _mm512_loadu_si512(x.high[1])), 7);
      sum = _mm512_dpbusd_epi32(sum, even, _mm512_loadu_si512(x.low[0]));
      parts[m][g] = _mm512_dpbusd_epi32(sum, odd, _mm512_loadu_si512(x.low[1]));
    }
  }
  const F32 factors = factors_of(scales_of(row, b, count));
#pragma GCC unroll 2
  for (int m = 0; m < M; ++m) {
    const __m512i offset = _mm512_loadu_si512(tokens[m] + offsets + b / kSums * kLine);
    const __m512i all = sums_of_four(parts[m][0], parts[m][1], parts[m][2], parts[m][3]);
    sums[m] = fma({_mm512_cvtepi32_ps(_mm512_add_epi32(all, offset))}, factors, sums[m]);
  }
}

// One row times M tokens; `later` is what is asked for meanwhile.
template <int M>
OSSIA_INLINE void row_times(const Mxfp4Rows& row, const Mxfp4Rows& later, const char* const (&tokens)[M],
                            F32 (&sums)[M]) {
  const int64_t blocks = row.row_blocks, offsets = Shape{blocks}.offsets();
#pragma GCC unroll 2
  for (int m = 0; m < M; ++m) sums[m] = zero();
  int64_t b = 0;
  for (; b + kSums <= blocks; b += kSums) add_blocks<M>(row, later, b, kSums, tokens, offsets, sums);
  if (b < blocks) add_blocks<M>(row, later, b, blocks - b, tokens, offsets, sums);
  for (int64_t i = 0; i < blocks; i += kLine) prefetch_far(later.scales + i);
}

// Some rows, and those that this thread comes to after them.
struct Rows {
  Mxfp4Rows all, next;
  int64_t count;
  int64_t lag = kLater / (all.row_blocks * kBlockBytes) + 1;

  // The row to be asked for beside row r; r itself, which is there, where it is not known.
  OSSIA_INLINE Mxfp4Rows later_than(int64_t r) const {
    if (r + lag < count) return all.from(r + lag);
    return next.blocks == nullptr ? all.from(r) : next.from(r + lag - count);
  }
};

// Several rows side by side would share the loads of activations, which is faster out of the second cache and slower
// out of memory.
template <int M>
void rows_times(const Rows& rows, const void* const* x, float* y, int64_t stride) {
  const char* tokens[M];
  for (int m = 0; m < M; ++m) tokens[m] = static_cast<const char*>(x[m]);
  for (int64_t r = 0; r < rows.count; ++r) {
    F32 sums[M];
    row_times<M>(rows.all.from(r), rows.later_than(r), tokens, sums);
    for (int m = 0; m < M; ++m) y[m * stride + r] = sum(sums[m]) * scale_of(tokens[m]);
  }
}

// A panel of rows times more tokens -----------------------------------------------------------------------------------

constexpr int64_t kPanel = 16;
constexpr int64_t kQuads = kBlock / kQuad;  // of a block's columns: even-numbered ones and odd-numbered in turns

// Tokens whose sums are kept in registers: two whole numbers and a float32 for each, 24 of 32.
constexpr int kTogether = 8;

// Blocks of the rows whose weights are kept, decoded, for all tokens: 48 KB of them.
constexpr int64_t kMostKept = 96;

// A panel's blocks, decoded: [blocks][kQuads][kPanel][kQuad], and their scales [blocks][kPanel].
struct alignas(64) Kept {
  char weights[kMostKept * kBlock * kPanel];
  float scales[kMostKept * kPanel];
};

// Of rows i, i + 4, i + 8 and i + 12 the 16 bytes that load(row) gives, as the parts of v[i]; then turned, so that v[i]
// has the bytes 4 i to 4 i + 3 of all 16 rows. Loads that leave the other parts alone take no shuffle as insertions do.
template <class Load>
OSSIA_INLINE void turned(Load&& load, __m512i (&v)[4]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm512_castsi128_si512(load(i));
    v[i] = _mm512_mask_broadcast_i32x4(v[i], 0x00F0, load(i + 4));
    v[i] = _mm512_mask_broadcast_i32x4(v[i], 0x0F00, load(i + 8));
    v[i] = _mm512_mask_broadcast_i32x4(v[i], 0xF000, load(i + 12));
  }
  const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
  const __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm512_unpacklo_epi64(a, c);
  v[1] = _mm512_unpackhi_epi64(a, c);
  v[2] = _mm512_unpacklo_epi64(b, d);
  v[3] = _mm512_unpackhi_epi64(b, d);
}

OSSIA_INLINE void decode(const Mxfp4Rows& rows, int64_t b, char* weights) {
  __m512i bytes[4];
  turned([&](int r) { return _mm_loadu_si128((const __m128i*)rows.at(r, b)); }, bytes);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m512i even, odd;
    look_up(bytes[i], even, odd);
    _mm512_store_si512(weights + 2 * i * kLine, even);
    _mm512_store_si512(weights + (2 * i + 1) * kLine, odd);
  }
}

// Scales of up to 16 blocks from block b on.
OSSIA_INLINE void decode_scales(const Mxfp4Rows& rows, int64_t b, int64_t count, float* scales) {
  __m512i bytes[4];
  turned([&](int r) { return scales_of(rows.from(r), b, count); }, bytes);
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) {
    if (i >= count) break;
    const __m512i byte = _mm512_and_si512(_mm512_srli_epi32(bytes[i / 4], 8 * (i % 4)), _mm512_set1_epi32(0xFF));
    _mm512_store_si512(scales + i * kPanel, _mm512_slli_epi32(byte, 23));
  }
}

// `count` blocks of 16 rows from block `first` on; `next` is what lies in memory yet and comes after these rows.
void keep(const Mxfp4Rows& rows, const Mxfp4Rows& next, int64_t first, int64_t count, Kept& kept) {
  const int64_t row = rows.row_blocks * kBlockBytes;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t b = first + i;
    // Of four rows the next cache line (a row's has four blocks), and of the rows that come next a block's share.
    const uint8_t* soon = rows.at(static_cast<int>(b % 4 * 4), b) + kLine;
    for (int64_t r = 0; r < 4; ++r) prefetch(soon + r * row);
    if (i % kSums == 0) decode_scales(rows, b, least(kSums, count - i), kept.scales + i * kPanel);
    decode(rows, b, kept.weights + i * kBlock * kPanel);
    if (next.blocks != nullptr) next.ask_for<kPanel>(b);
  }
}

// Block i of those kept, which is block b of the rows, times M tokens.
template <int M>
OSSIA_INLINE void add_block(const Kept& kept, int64_t i, const char* const (&tokens)[M], int64_t b, int64_t offsets,
                            F32 (&sums)[M]) {
  const int64_t columns = kLine + b / kGroup * static_cast<int64_t>(sizeof(Columns)) + b % kGroup * kBlockBytes;
  const int64_t offset = offsets + b / kSums * kLine + lane_of(b) * static_cast<int64_t>(sizeof(int32_t));
  const auto word = [&](int m, int64_t at) {
    int32_t four;
    memcpy(&four, tokens[m] + at, sizeof(four));
    return _mm512_set1_epi32(four);
  };
  __m512i high[M], low[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    high[m] = _mm512_setzero_si512();
    low[m] = word(m, offset);
  }
#pragma GCC unroll 8
  for (int64_t q = 0; q < kQuads; ++q) {
    const __m512i w = _mm512_load_si512(kept.weights + i * kBlock * kPanel + q * kLine);
    const int64_t at = columns + q % 2 * static_cast<int64_t>(sizeof(Columns::high[0])) + q / 2 * kQuad;
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      high[m] = _mm512_dpbusd_epi32(high[m], w, word(m, at));
      low[m] = _mm512_dpbusd_epi32(low[m], w, word(m, at + static_cast<int64_t>(sizeof(Columns::high))));
    }
  }
  const F32 scales = load(kept.scales + i * kPanel);
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(high[m], 7), low[m]);
    sums[m] = fma({_mm512_cvtepi32_ps(sum)}, scales, sums[m]);
  }
}

// The sums of a panel and some tokens, each lane of a row's as a register of 16 rows.
struct alignas(64) Lanes {
  float of[kSums][kTogether][kPanel];
};

// `count` blocks from block `first` on, a multiple of 16, times M tokens.
template <int M>
void add_kept(const Kept& kept, int64_t first, int64_t count, const char* const (&tokens)[M], int64_t offsets,
              Lanes& lanes) {
  for (int64_t i = 0; i < kSums; ++i) {
    float(&at)[kTogether][kPanel] = lanes.of[lane_of(i)];
    F32 sums[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) sums[m] = first == 0 ? zero() : load(at[m]);
    for (int64_t b = i; b < count; b += kSums) add_block<M>(kept, b, tokens, first + b, offsets, sums);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) store(at[m], sums[m]);
  }
}

// Adds the lanes as `sum` of simd.h does.
OSSIA_INLINE F32 sum_of_lanes(const Lanes& lanes, int m) {
  F32 sums[kSums];
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) sums[i] = load(lanes.of[i][m]);
#pragma GCC unroll 4
  for (int half = kSums / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) sums[i] = add(sums[i], sums[i + half]);
  }
  return sums[0];
}

template <int M>
void finish(const Lanes& lanes, const char* const (&tokens)[M], float* y, int64_t stride) {
  for (int m = 0; m < M; ++m) store(y + m * stride, mul(sum_of_lanes(lanes, m), broadcast(scale_of(tokens[m]))));
}

// A panel of rows times M tokens; `kept` has its weights already, or is to have them.
template <int M>
void panel_times(const Mxfp4Rows& rows, const Mxfp4Rows& next, bool has_them, Kept& kept, const void* const* x,
                 float* y, int64_t stride) {
  const int64_t blocks = rows.row_blocks, offsets = Shape{blocks}.offsets();
  const char* tokens[M];
  for (int m = 0; m < M; ++m) tokens[m] = static_cast<const char*>(x[m]);
  Lanes lanes;
  for (int64_t b = 0; b < blocks; b += kMostKept) {
    const int64_t count = least(kMostKept, blocks - b);
    if (!has_them) keep(rows, next, b, count, kept);
    add_kept<M>(kept, b, count, tokens, offsets, lanes);
  }
  finish<M>(lanes, tokens, y, stride);
}

// `panel_times` for a number of tokens from 1 to M.
template <int M>
void panel_times_some(int64_t count, const Mxfp4Rows& rows, const Mxfp4Rows& next, bool has_them, Kept& kept,
                      const void* const* x, float* y, int64_t stride) {
  if (count == M) return panel_times<M>(rows, next, has_them, kept, x, y, stride);
  if constexpr (M > 1) panel_times_some<M - 1>(count, rows, next, has_them, kept, x, y, stride);
}

void panels_times(const Rows& rows, const void* const* x, int64_t tokens, float* y, int64_t stride) {
  const Mxfp4Rows nothing{nullptr, nullptr, rows.all.row_blocks};
  Kept kept;
  for (int64_t r = 0; r < rows.count; r += kPanel) {
    const Mxfp4Rows next = r + kPanel < rows.count ? rows.all.from(r + kPanel) : rows.next;
    for (int64_t t = 0; t < tokens; t += kTogether) {
      const bool has_them = t > 0 && rows.all.row_blocks <= kMostKept;
      panel_times_some<kTogether>(least(kTogether, tokens - t), rows.all.from(r), t == 0 ? next : nothing, has_them,
                                  kept, x + t, y + t * stride + r, stride);
    }
  }
}

// Packing -------------------------------------------------------------------------------------------------------------

// Of up to 32 columns that are block b.
OSSIA_INLINE void pack_block(const int32_t (&integers)[kBlock], int64_t b, const Shape& shape, char* token) {
  Columns& x = reinterpret_cast<Columns*>(token + kLine)[b / kGroup];
  int32_t sum = 0;
  for (int64_t i = 0; i < kBlock; ++i) {
    const int32_t n = integers[i], high = (n + 64) >> 7;
    const int64_t place = b % kGroup * kBlockBytes + i / 2;
    x.high[i % 2][place] = static_cast<int8_t>(high);
    x.low[i % 2][place] = static_cast<int8_t>(n - 128 * high);
    sum += n;
  }
  reinterpret_cast<int32_t*>(token + shape.offsets() + b / kSums * kLine)[lane_of(b)] = -12 * sum;
}

}  // namespace

int64_t whole_bytes(int64_t columns) { return Shape{columns / kBlock}.bytes(); }

void whole_pack(const float* x, int64_t columns, void* packed) {
  const Shape shape{columns / kBlock};
  const Unit unit = unit_of(x, columns, kActivationLargest);
  const float scale = unit.scale / 2;  // weights are looked up doubled
  char* token = static_cast<char*>(packed);
  memset(token, 0, static_cast<size_t>(shape.bytes()));
  memcpy(token, &scale, sizeof(scale));
  for (int64_t b = 0; b < shape.blocks; ++b) {
    int32_t integers[kBlock];
    to_integers(x + b * kBlock, kBlock, unit.factor, integers);
    pack_block(integers, b, shape, token);
  }
}

void whole_products(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
                    int64_t stride) {
  const int64_t blocks = matrix.columns / kBlock;
  const Mxfp4Rows all{static_cast<const uint8_t*>(matrix.values), matrix.scales, blocks};
  const Mxfp4Rows next{static_cast<const uint8_t*>(matrix.next), matrix.next_scales, blocks};
  const Rows some{all.from(first), next, rows};
  if (tokens == 1) return rows_times<1>(some, x, y, stride);
  if (tokens == 2) return rows_times<2>(some, x, y, stride);
  panels_times(some, x, tokens, y, stride);
}

}  // namespace ossia::vbmi
