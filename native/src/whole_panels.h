// Panels of 16 rows of MXFP4, which are decoded for groups of tokens: a row has its sum in a lane.

#ifndef OSSIA_WHOLE_PANELS_H_
#define OSSIA_WHOLE_PANELS_H_

#include "same_in_lanes.h"
#include "turn.h"
#include "whole_forms.h"

namespace ossia::whole {

constexpr int64_t kPanel = kWholeRows;

// Blocks of a row in a cache line.
constexpr int64_t kBlocksOfLine = kLine / kBlockBytes;

// The 16 bytes that load(row) gives of rows i, i + 4, i + 8 and i + 12, as the parts of a register. Loads that leave
// the other parts alone take no shuffle as insertions do.
template <class Load>
OSSIA_INLINE __m512i four_rows(Load&& load, int i) {
  __m512i v = _mm512_castsi128_si512(load(i));
  v = _mm512_mask_broadcast_i32x4(v, 0x00F0, load(i + 4));
  v = _mm512_mask_broadcast_i32x4(v, 0x0F00, load(i + 8));
  return _mm512_mask_broadcast_i32x4(v, 0xF000, load(i + 12));
}

// Four such, turned: v[i] has the bytes 4 i to 4 i + 3 of all 16 rows.
OSSIA_INLINE void turn_rows(__m512i (&v)[4]) {
  const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
  const __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm512_unpacklo_epi64(a, c);
  v[1] = _mm512_unpackhi_epi64(a, c);
  v[2] = _mm512_unpacklo_epi64(b, d);
  v[3] = _mm512_unpackhi_epi64(b, d);
}

template <class Load>
OSSIA_INLINE void turned(Load&& load, __m512i (&v)[4]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) v[i] = four_rows(load, i);
  turn_rows(v);
}

// Where 16 rows lie that are `stride` bytes apart. Every fourth is a number that the compiler may not take apart again:
// from those each is one operand away, where it would make all sixteen anew.
struct SixteenRows {
  const uint8_t* fourth[4];
  int64_t stride;

  OSSIA_INLINE SixteenRows(const uint8_t* first, int64_t stride) : fourth{first}, stride(stride) {
#pragma GCC unroll 4
    for (int i = 1; i < 4; ++i) {
      fourth[i] = fourth[i - 1] + 4 * stride;
      asm("" : "+r"(fourth[i]));
    }
  }
  OSSIA_INLINE const uint8_t* at(int r) const { return fourth[r / 4] + r % 4 * stride; }
};

OSSIA_INLINE void bytes_of_rows(const Mxfp4Rows& rows, int64_t b, __m512i (&bytes)[4]) {
  const SixteenRows at(rows.at(0, b), rows.row_blocks * kBlockBytes);
  turned([&](int r) { return _mm_loadu_si128((const __m128i*)at.at(r)); }, bytes);
}

OSSIA_INLINE __m512i numbers_of(const void* row, int64_t b) {
  return _mm512_load_si512(static_cast<const int16_t*>(columns_of(row)) + b * kBlock);
}

// The numbers of a block as `decode_quads` has its columns: of each eight the even-numbered, and then the odd.
OSSIA_INLINE __m512i numbers_by_quads(const void* row, int64_t b) {
  const __m512i order = _mm512_set_epi16(31, 29, 27, 25, 30, 28, 26, 24, 23, 21, 19, 17, 22, 20, 18, 16, 15, 13, 11, 9,
                                         14, 12, 10, 8, 7, 5, 3, 1, 6, 4, 2, 0);
  return _mm512_permutexvar_epi16(order, numbers_of(row, b));
}

// A block of 16 rows, as many columns as fit 32 bits of each: twice the weights plus 12, so that they are at least 0.
// Four bytes of a row are four even-numbered columns and four odd.
constexpr int64_t kQuadBytes = kBlock / kQuad * kLine;
OSSIA_INLINE void decode_quads(const Mxfp4Rows& rows, int64_t b, char* weights) {
  __m512i bytes[4];
  bytes_of_rows(rows, b, bytes);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m512i even, odd;
    look_up(bytes[i], even, odd);
    _mm512_store_si512(weights + 2 * i * kLine, even);
    _mm512_store_si512(weights + (2 * i + 1) * kLine, odd);
  }
}

// Of four of the rows, those of block b, the cache line of block `soon`.
OSSIA_INLINE void ask_soon(const Mxfp4Rows& rows, int64_t b, int64_t soon) {
  for (int r = 0; r < 4; ++r) prefetch(rows.at(static_cast<int>(b % 4 * 4) + r, soon));
}

// The blocks of a panel, one after another: pair i of a block's eight registers, as `decode_quads` left them at the
// place that `begin` says, or as they come. Between the pairs of a block the bytes of the one that follows are fetched,
// and turned at its end: so a processor has both before it, and what turning takes goes by beside products.
struct KeptBlocks {
  static constexpr int kMost = kMostGrouped;  // tokens of a group
  const char* const kept;
  const char* weights;

  OSSIA_INLINE KeptBlocks(const char* kept, int64_t) : kept(kept), weights(kept) {}
  OSSIA_INLINE void begin(int64_t place, int64_t) { weights = kept + place * kQuadBytes; }
  OSSIA_INLINE void pair(int64_t i, __m512i& even, __m512i& odd) const {
    even = _mm512_load_si512(weights + 2 * i * kLine);
    odd = _mm512_load_si512(weights + (2 * i + 1) * kLine);
  }
  OSSIA_INLINE void ask(int64_t, int64_t) const {}
  OSSIA_INLINE void fetch(int) const {}
  OSSIA_INLINE void end() const {}
};
struct FreshBlocks {
  static constexpr int kMost = kMostFresh;
  const Mxfp4Rows rows;
  SixteenRows soon;
  __m512i bytes[4], next[4];

  OSSIA_INLINE FreshBlocks(const Mxfp4Rows& rows, int64_t first)
      : rows(rows), soon(rows.at(0, first), rows.row_blocks * kBlockBytes) {
    bytes_of_rows(rows, first, bytes);
  }
  OSSIA_INLINE void begin(int64_t, int64_t following) {
    soon = SixteenRows(rows.at(0, following), rows.row_blocks * kBlockBytes);
  }
  OSSIA_INLINE void ask(int64_t b, int64_t later) const { ask_soon(rows, b, later); }
  OSSIA_INLINE void pair(int64_t i, __m512i& even, __m512i& odd) const { look_up(bytes[i], even, odd); }
  OSSIA_INLINE void fetch(int i) {
    next[i] = four_rows([&](int r) { return _mm_loadu_si128((const __m128i*)soon.at(r)); }, i);
  }
  OSSIA_INLINE void end() {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) bytes[i] = next[i];
    turn_rows(bytes);
  }
};

// Adds a pair's products with M tokens, whose quads are [2][M].
template <int M>
OSSIA_INLINE void add_pair(__m512i even, __m512i odd, const Word* quads, __m512i (&to)[M]) {
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) to[m] = add_bytes_times(to[m], even, quads + m);
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) to[m] = add_bytes_times(to[m], odd, quads + M + m);
}

// Scales of kMost blocks from block b on, or of the `count` that are left, as float32, a byte being the exponent:
// place(i) is where block b + i's are wanted.
template <int64_t kMost, class Place>
OSSIA_INLINE void decode_scales(const Mxfp4Rows& rows, int64_t b, int64_t count, Place&& place) {
  __m512i bytes[4];
  turned([&](int r) { return scales_of(rows.from(r), b, count); }, bytes);
#pragma GCC unroll 16
  for (int i = 0; i < kMost; ++i) {
    if (i >= count) break;
    const __m512i byte = _mm512_and_si512(_mm512_srli_epi32(bytes[i / 4], 8 * (i % 4)), _mm512_set1_epi32(0xFF));
    _mm512_store_si512(place(i), _mm512_slli_epi32(byte, 23));
  }
}

// What lies in memory yet and comes after a panel: of it block `from` + b is asked for with block b, up to `end`. All
// at once, as a panel is decoded, took 1.1 times as long for twelve tokens.
struct Ahead {
  const Mxfp4Rows& rows;
  int64_t from, end;

  OSSIA_INLINE void ask(int64_t place) const {
    if (from + place < end) rows.ask_for<kPanel>(from + place);
  }
};

// The scales of some packed rows, with which a group begins.
OSSIA_INLINE void put_scales(const void* const* rows, int64_t count, char* group) {
  Scale* scales = reinterpret_cast<Scale*>(group);
  for (int64_t t = 0; t < count; ++t) scales[t] = scale_of(rows[t]);
}

// Calls body(panel, next, r) for each panel from row r on; `next` is what comes after it.
template <class F>
OSSIA_INLINE void each_panel(const Rows& rows, F&& body) {
  for (int64_t r = 0; r < rows.count; r += kPanel) {
    body(rows.all.from(r), r + kPanel < rows.count ? rows.all.from(r + kPanel) : rows.next, r);
  }
}

}  // namespace ossia::whole

#endif  // OSSIA_WHOLE_PANELS_H_
