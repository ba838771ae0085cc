// The two sides of a product, 32 columns at a time: activations as packed for a call, and rows of a matrix as stored.
//
// A chunk of 32 columns is held in one of two forms. `Pair` is for sums in float32: two vectors, the even-numbered
// columns and the odd-numbered, because that is how both bfloat16 words and MXFP4 bytes come apart. `Words` is 32
// bfloat16 in one register, for the processor's own product of bfloat16 pairs. Both add column 2 i + 1 to lane i and
// then column 2 i.

#ifndef OSSIA_OPERANDS_H_
#define OSSIA_OPERANDS_H_

#include "matrix.h"
#include "simd.h"

#if defined(OSSIA_ISA_avx512bf16)
#define OSSIA_HAS_WORDS 1
#endif

namespace ossia::OSSIA_ISA {

struct Pair {
  F32 even, odd;
};

OSSIA_INLINE F32 add_products(F32 sum, Pair w, Pair x) { return fma(w.even, x.even, fma(w.odd, x.odd, sum)); }

#if defined(OSSIA_HAS_WORDS)
struct Words {
  __m512bh v;
};

OSSIA_INLINE F32 add_products(F32 sum, Words w, Words x) { return {_mm512_dpbf16_ps(sum.v, w.v, x.v)}; }
#endif

// Activations ---------------------------------------------------------------------------------------------------------

// A row in float32, each chunk as its 16 even-numbered columns and then its 16 odd-numbered; zeros up to whole chunks.
struct WideActivation {
  static constexpr int64_t kChunkBytes = kBlock * sizeof(float);
  const float* x;
  OSSIA_INLINE void set(const void* packed) { x = static_cast<const float*>(packed); }
  OSSIA_INLINE void read(int64_t c, Pair& chunk) const {
    chunk = {load(x + c * kBlock), load(x + c * kBlock + kLanes)};
  }
};

// A row in bfloat16, in order; zeros up to whole chunks.
struct WordActivation {
  static constexpr int64_t kChunkBytes = kBlock * sizeof(uint16_t);
  const uint16_t* x;
  OSSIA_INLINE void set(const void* packed) { x = static_cast<const uint16_t*>(packed); }
  OSSIA_INLINE void read(int64_t c, Pair& chunk) const { load_pairs(x + c * kBlock, chunk.even, chunk.odd); }
#if defined(OSSIA_HAS_WORDS)
  OSSIA_INLINE void read(int64_t c, Words& chunk) const { chunk.v = (__m512bh)_mm512_loadu_si512(x + c * kBlock); }
#endif
};

// Weights -------------------------------------------------------------------------------------------------------------

// Rows of float or bfloat16 from `values` on. `read` takes chunk c of row r; `read_tail` the last n < 32 columns of a
// row.
template <class T>
struct DenseRows {
  static constexpr bool kHasTail = true;
  static constexpr int64_t kChunkBytes = kBlock * sizeof(T);
  const T* values;
  int64_t columns;

  OSSIA_INLINE DenseRows from(int64_t r) const { return {values + r * columns, columns}; }
  OSSIA_INLINE const T* at(int r, int64_t c) const { return values + r * columns + c * kBlock; }
  OSSIA_INLINE void read(int r, int64_t c, Pair& chunk) const { load_pairs(at(r, c), chunk.even, chunk.odd); }
#if defined(OSSIA_HAS_WORDS)
  OSSIA_INLINE void read(int r, int64_t c, Words& chunk) const { chunk.v = (__m512bh)_mm512_loadu_si512(at(r, c)); }
#endif
  template <class Chunk>
  OSSIA_INLINE void read_tail(int r, int64_t c, int64_t n, Chunk& chunk) const {
    T padded[kBlock] = {};
    memcpy(padded, at(r, c), static_cast<size_t>(n) * sizeof(T));
    DenseRows{padded, 0}.read(0, 0, chunk);
  }

  // Asks for the share of chunk c in kRows rows, in the order of memory. Only a hint, so the end does not matter.
  template <int kRows>
  OSSIA_INLINE void ask_for(int64_t c) const {
    constexpr int64_t kStep = kRows * kBlock * static_cast<int64_t>(sizeof(T));
    if (values == nullptr) return;
    const char* share = reinterpret_cast<const char*>(values) + c * kStep;
    for (int64_t i = 0; i < kStep; i += 64) prefetch_far(share + i);
  }
};

#if defined(OSSIA_HAS_WORDS)
// One MXFP4 block as 32 bfloat16 in order.
OSSIA_INLINE __m512i block_words(const uint8_t* block, uint8_t scale) {
  // The lookup takes the low five bits of each 16-bit index, and the table is there twice, so that bit 4 does not
  // matter: byte b becomes the indices b and b >> 4.
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)block));
  const __m512i indices = _mm512_or_si512(bytes, _mm512_slli_epi32(bytes, 12));
  const __m512i table = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i*)kNibbles.words[scale]));
  return _mm512_permutexvar_epi16(indices, table);
}
#endif

// Rows of MXFP4. There is no tail: a row is whole blocks.
struct Mxfp4Rows {
  static constexpr bool kHasTail = false;
  static constexpr int64_t kChunkBytes = kBlockBytes + 1;
  const uint8_t* blocks;
  const uint8_t* scales;
  int64_t row_blocks;

  OSSIA_INLINE Mxfp4Rows from(int64_t r) const {
    return {blocks + r * row_blocks * kBlockBytes, scales + r * row_blocks, row_blocks};
  }
  OSSIA_INLINE const uint8_t* at(int r, int64_t c) const { return blocks + (r * row_blocks + c) * kBlockBytes; }
  OSSIA_INLINE uint8_t scale(int r, int64_t c) const { return scales[r * row_blocks + c]; }
  OSSIA_INLINE void read(int r, int64_t c, Pair& chunk) const {
    nibble_pairs(at(r, c), scale(r, c), chunk.even, chunk.odd);
  }
#if defined(OSSIA_HAS_WORDS)
  OSSIA_INLINE void read(int r, int64_t c, Words& chunk) const {
    chunk.v = (__m512bh)block_words(at(r, c), scale(r, c));
  }
#endif
  template <int kRows>
  OSSIA_INLINE void ask_for(int64_t c) const {
    constexpr int64_t kStep = kRows * kBlockBytes;
    if (blocks == nullptr) return;
    for (int64_t i = 0; i < kStep; i += 64) prefetch_far(blocks + c * kStep + i);
    prefetch_far(scales + c * kRows);
  }
};

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_OPERANDS_H_
