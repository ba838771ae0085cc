// Compiled with the flags of avx512bf16 and AVX512_VBMI and VBMI2. Nibbles are looked up as bytes, twice their value
// plus 12, so that all are whole numbers of at least 0, and meet activations of two bytes each in the processor's
// products of four bytes.
//
// In turns with the tiles of `fast` on a Xeon, one thread, one token: 1.7 times as fast out of memory and 1.9
// times out of the second cache, where a block then takes 1.7 cycles instead of 3.2. One byte for an activation instead
// of two is faster by a quarter out of the second cache, and not at all out of memory.

#include "int8_rounding.h"
#include "operands.h"
#include "whole_kernels.h"

namespace ossia::vbmi {
namespace {

using namespace OSSIA_ISA;

// Blocks whose bytes fill a register, and their columns.
constexpr int64_t kBlocks = 4, kColumns = kBlocks * kBlock;

// What is asked for ahead: for the first cache within a row, which the requests to the second have brought there, and
// for the second. 4 to 46 KB were the same within 3 %; without the first 2 % slower, without both 30 %.
constexpr int64_t kSoon = 512, kLater = 16 * 1024;

// Of a token's 128 columns: the even-numbered (low nibbles) and the odd-numbered (high nibbles), n = 128 h + l, a byte
// each; and what the lookup's 12 adds to each lane's sum, to begin with: 128 * offset + rest.
struct Activations {
  int8_t high[2][64], low[2][64];
  int32_t offset[16];
  uint32_t rest[16];  // in its highest 7 bits
};

// A packed token is its scale, which has a cache line to itself, and then its columns.
constexpr int64_t kHeader = 64;

constexpr int64_t groups_of(int64_t blocks) { return (blocks + kBlocks - 1) / kBlocks; }

// Twice a weight plus 12, by its nibble; four times over, so that the upper two of the six bits that a lookup takes do
// not matter and no nibble has to be cut out.
OSSIA_INLINE __m512i nibble_bytes() {
  return _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
}

// Four blocks of a row: their bytes, and their scales in each part of 128 bits.
struct Blocks {
  __m512i bytes, scales;
};

OSSIA_INLINE Blocks four_blocks(const uint8_t* bytes, const uint8_t* scales) {
  int32_t four;
  memcpy(&four, scales, sizeof(four));
  return {_mm512_loadu_si512(bytes), _mm512_set1_epi32(four)};
}

// The row's last blocks, fewer than four; what lies beyond them is not read.
OSSIA_INLINE Blocks some_blocks(const uint8_t* bytes, const uint8_t* scales, int64_t count) {
  const __mmask64 given = (uint64_t{1} << count * kBlockBytes) - 1;
  const __mmask16 scales_given = first_lanes(static_cast<int>(count));
  return {_mm512_maskz_loadu_epi8(given, bytes), _mm512_broadcastd_epi32(_mm_maskz_loadu_epi8(scales_given, scales))};
}

// Scales as float32, each in its block's four lanes: a byte goes to the top of its lanes and one step down, to where
// float32 has its exponent.
OSSIA_INLINE F32 factors_of(__m512i scales) {
  const __m512i order =
      _mm512_setr_epi64(0x0080808000808080, 0x0080808000808080, 0x0180808001808080, 0x0180808001808080,
                        0x0280808002808080, 0x0280808002808080, 0x0380808003808080, 0x0380808003808080);
  return {_mm512_castsi512_ps(_mm512_srli_epi32(_mm512_shuffle_epi8(scales, order), 1))};
}

// Each lane's eight products, exactly. The sum with the high bytes is moved up by 7 bits, with `rest` following it in
// by the same instruction, and goes on with the low bytes: an addition less than two sums take.
OSSIA_INLINE __m512i lane_sums(__m512i even, __m512i odd, const Activations& x) {
  __m512i sums = _mm512_dpbusd_epi32(_mm512_load_si512(x.offset), even, _mm512_load_si512(x.high[0]));
  sums = _mm512_dpbusd_epi32(sums, odd, _mm512_load_si512(x.high[1]));
  sums = _mm512_shldi_epi32(sums, _mm512_load_si512(x.rest), 7);
  sums = _mm512_dpbusd_epi32(sums, even, _mm512_load_si512(x.low[0]));
  return _mm512_dpbusd_epi32(sums, odd, _mm512_load_si512(x.low[1]));
}

// Four blocks of a row, times M tokens.
template <int M>
OSSIA_INLINE void add_blocks(const Blocks& blocks, const Activations* const (&x)[M], int64_t group, F32 (&sums)[M]) {
  const __m512i table = nibble_bytes();
  const __m512i even = _mm512_permutexvar_epi8(blocks.bytes, table);
  const __m512i odd = _mm512_permutexvar_epi8(_mm512_srli_epi16(blocks.bytes, 4), table);
  const F32 factors = factors_of(blocks.scales);
#pragma GCC unroll 2
  for (int m = 0; m < M; ++m) {
    sums[m] = fma({_mm512_cvtepi32_ps(lane_sums(even, odd, x[m][group]))}, factors, sums[m]);
  }
}

// One row, from its first byte to its last, times M tokens. Several rows side by side would share the loads of
// activations, which is 1.15 times as fast out of the second cache and 0.8 times out of memory.
template <int M>
OSSIA_INLINE void row_times(const Mxfp4Rows& row, const Mxfp4Rows& later, const Activations* const (&x)[M],
                            F32 (&sums)[M]) {
  const int64_t groups = row.row_blocks / kBlocks, left = row.row_blocks % kBlocks;
#pragma GCC unroll 2
  for (int m = 0; m < M; ++m) sums[m] = zero();
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t block = group * kBlocks;
    prefetch_far(later.at(0, block));
    prefetch(row.at(0, block) + kSoon);
    add_blocks<M>(four_blocks(row.at(0, block), row.scales + block), x, group, sums);
  }
  for (int64_t i = 0; i < row.row_blocks; i += 64) prefetch_far(later.scales + i);
  if (left > 0) {
    const int64_t block = groups * kBlocks;
    prefetch_far(later.at(0, block));
    add_blocks<M>(some_blocks(row.at(0, block), row.scales + block, left), x, groups, sums);
  }
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

template <int M>
void rows_times(const Rows& rows, const void* const* tokens, float* y, int64_t stride) {
  const Activations* x[M];
  float scales[M];
  for (int m = 0; m < M; ++m) {
    memcpy(&scales[m], tokens[m], sizeof(float));
    x[m] = reinterpret_cast<const Activations*>(static_cast<const char*>(tokens[m]) + kHeader);
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    F32 sums[M];
    row_times<M>(rows.all.from(r), rows.later_than(r), x, sums);
    for (int m = 0; m < M; ++m) y[m * stride + r] = sum(sums[m]) * scales[m];
  }
}

// Bytes of whole numbers, the even-numbered and the odd-numbered.
OSSIA_INLINE void part_bytes(const char (&bytes)[kColumns], int8_t (&parts)[2][64]) {
  for (int i = 0; i < 2; ++i) {
    const __m512i half = _mm512_loadu_si512(bytes + 64 * i);
    _mm256_store_si256((__m256i*)(parts[0] + 32 * i), _mm512_cvtepi16_epi8(half));
    _mm256_store_si256((__m256i*)(parts[1] + 32 * i), _mm512_cvtepi16_epi8(_mm512_srli_epi16(half, 8)));
  }
}

// Takes what 12 in place of each weight gives from the beginning of each lane's sum.
OSSIA_INLINE void set_offsets(Activations& x) {
  const __m512i ones = _mm512_set1_epi8(1), none = _mm512_setzero_si512();
  const auto sums_of = [&](const int8_t (&bytes)[2][64]) {
    const __m512i even = _mm512_dpbusd_epi32(none, ones, _mm512_load_si512(bytes[0]));
    return _mm512_dpbusd_epi32(even, ones, _mm512_load_si512(bytes[1]));
  };
  const __m512i sums = _mm512_add_epi32(_mm512_slli_epi32(sums_of(x.high), 7), sums_of(x.low));
  const __m512i offsets = _mm512_mullo_epi32(sums, _mm512_set1_epi32(-12));
  _mm512_store_si512(x.offset, _mm512_srai_epi32(offsets, 7));
  _mm512_store_si512(x.rest, _mm512_slli_epi32(offsets, 25));
}

OSSIA_INLINE void pack_columns(const int32_t (&integers)[kColumns], Activations& x) {
  char high[kColumns], low[kColumns];
  for (int64_t i = 0; i < kColumns; i += kLanes) {
    const __m512i n = _mm512_loadu_si512(integers + i);
    const __m512i h = _mm512_srai_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(64)), 7);
    _mm_storeu_si128((__m128i*)(high + i), _mm512_cvtepi32_epi8(h));
    _mm_storeu_si128((__m128i*)(low + i), _mm512_cvtepi32_epi8(_mm512_sub_epi32(n, _mm512_slli_epi32(h, 7))));
  }
  part_bytes(high, x.high);
  part_bytes(low, x.low);
  set_offsets(x);
}

}  // namespace

int64_t whole_bytes(int64_t columns) {
  return kHeader + groups_of(columns / kBlock) * static_cast<int64_t>(sizeof(Activations));
}

void whole_pack(const float* x, int64_t columns, void* packed) {
  const Unit unit = unit_of(x, columns, kActivationLargest);
  const float scale = unit.scale / 2;  // weights are looked up doubled
  memcpy(packed, &scale, sizeof(scale));
  Activations* groups = reinterpret_cast<Activations*>(static_cast<char*>(packed) + kHeader);
  for (int64_t c = 0; c < columns; c += kColumns) {
    int32_t integers[kColumns] = {};
    to_integers(x + c, columns - c < kColumns ? columns - c : kColumns, unit.factor, integers);
    pack_columns(integers, groups[c / kColumns]);
  }
}

void whole_products(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
                    int64_t stride) {
  const int64_t blocks = matrix.columns / kBlock;
  const Mxfp4Rows all{static_cast<const uint8_t*>(matrix.values), matrix.scales, blocks};
  const Mxfp4Rows next{static_cast<const uint8_t*>(matrix.next), matrix.next_scales, blocks};
  Rows some{all.from(first), next, rows};
  for (int64_t t = 0; t < tokens; t += kFewTokens) {
    if (tokens - t >= kFewTokens) {
      rows_times<kFewTokens>(some, x + t, y + t * stride, stride);
    } else {
      rows_times<1>(some, x + t, y + t * stride, stride);
    }
    some.next.blocks = nullptr;  // has been asked for
  }
}

}  // namespace ossia::vbmi
