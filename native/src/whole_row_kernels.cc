// Compiled with the flags of avx512bf16 and AVX512_VBMI. Each row is read from its first byte to its last, for a few
// tokens together. Nibbles are looked up as bytes, twice their value plus 12, so that all are whole numbers of at least
// 0, and meet activations of two or three bytes each in the processor's products of four bytes.
//
// On a Xeon one token reads rows out of memory at 0.9 of the bandwidth with one core and at 0.85 with two, and out of
// the second cache at 10 bytes a cycle, where the tiles of `fast` do at 5.

#include "count.h"
#include "whole_forms.h"

namespace ossia::whole::few {
namespace {

// Blocks whose bytes fill a register.
constexpr int64_t kGroup = 4;

// Of a token's group of blocks: the even-numbered columns (low nibbles) and the odd-numbered (high nibbles), plane by
// plane of their bytes, the highest first.
template <class Form>
struct Columns {
  int8_t planes[Form::kPlanes][2][64];
};

// An arranged token is its scale, which has a cache line to itself; its columns, group by group; and for each block
// what the lookup's 12 adds to its sum, and the block's scale if it has one, as the sums lie in registers. Zeros fill
// it up to 16 blocks.
template <class Form>
struct Shape {
  int64_t blocks;

  int64_t registers() const { return (blocks + kSums - 1) / kSums; }
  int64_t offsets() const { return kLine + registers() * kSums / kGroup * static_cast<int64_t>(sizeof(Columns<Form>)); }
  int64_t scales() const { return offsets() + registers() * kLine; }
  int64_t bytes() const { return scales() + (Form::kScalesBlocks ? registers() * kLine : 0); }
};

// What is asked for ahead: for the first cache within a row, which the requests to the second have brought there, and
// for the second. 4 to 46 KB were the same within 3 %, and 1 to 2 KB; 512 bytes took 1.05 times as long, and without
// both it took 1.3 times.
constexpr int64_t kSoonInRow = 1024, kLater = 16 * 1024;

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
  const __m512i order =
      _mm512_setr_epi32(0x00808080, 0x04808080, 0x08808080, 0x0C808080, 0x01808080, 0x05808080, 0x09808080, 0x0D808080,
                        0x02808080, 0x06808080, 0x0A808080, 0x0E808080, 0x03808080, 0x07808080, 0x0B808080, 0x0F808080);
  const __m512i tops = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(scales), order);
  return {_mm512_castsi512_ps(_mm512_srli_epi32(tops, 1))};
}

// `count` blocks of a row from block b on, up to a group; what lies beyond them is not read.
OSSIA_INLINE __m512i bytes_of(const Mxfp4Rows& row, int64_t b, int64_t count) {
  if (count >= kGroup) return _mm512_loadu_si512(row.at(0, b));
  return _mm512_maskz_loadu_epi8((uint64_t{1} << count * kBlockBytes) - 1, row.at(0, b));
}

// Asks for what comes after block b. Not a lambda: the compiler drops a call that computes nothing.
OSSIA_INLINE void ask(const Mxfp4Rows& row, const Mxfp4Rows& later, int64_t b) {
  prefetch_far(later.at(0, b));
  prefetch(row.at(0, b) + kSoonInRow);
}

// `count` blocks of a row, up to 16, times M tokens, from block b on, a multiple of 16. `later` is asked for meanwhile.
template <class Form, int M>
OSSIA_INLINE void add_blocks(const Mxfp4Rows& row, const Mxfp4Rows& later, int64_t b, int64_t count,
                             const char* const (&tokens)[M], F32 (&sums)[M]) {
  const Shape<Form> shape{row.row_blocks};
  __m512i parts[M][4];
#pragma GCC unroll 4
  for (int64_t g = 0; g < 4; ++g) {
    if (g * kGroup >= count) {
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m) parts[m][g] = _mm512_setzero_si512();
      continue;
    }
    ask(row, later, b + g * kGroup);
    __m512i even, odd;
    look_up(bytes_of(row, b + g * kGroup, count - g * kGroup), even, odd);
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
      const Columns<Form>& x = reinterpret_cast<const Columns<Form>*>(tokens[m] + kLine)[b / kGroup + g];
      __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 3
      for (int plane = 0; plane < Form::kPlanes; ++plane) {
        if (plane > 0) sum = _mm512_slli_epi32(sum, 8);
        sum = _mm512_dpbusd_epi32(sum, even, _mm512_loadu_si512(x.planes[plane][0]));
        sum = _mm512_dpbusd_epi32(sum, odd, _mm512_loadu_si512(x.planes[plane][1]));
      }
      parts[m][g] = sum;
    }
  }
  const F32 factors = factors_of(scales_of(row, b, count));
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) {
    const int64_t at = b / kSums * kLine;
    const __m512i offset = _mm512_loadu_si512(tokens[m] + shape.offsets() + at);
    const __m512i all = sums_of_four(parts[m][0], parts[m][1], parts[m][2], parts[m][3]);
    const float* own = reinterpret_cast<const float*>(tokens[m] + shape.scales() + at);
    const F32 scales = Form::kScalesBlocks ? load(own) : zero();
    sums[m] = fma(in_scale<Form>(_mm512_add_epi32(all, offset), scales), factors, sums[m]);
  }
}

// One row times M tokens; `later` is what is asked for meanwhile.
template <class Form, int M>
OSSIA_INLINE void row_times(const Mxfp4Rows& row, const Mxfp4Rows& later, const char* const (&tokens)[M],
                            F32 (&sums)[M]) {
  const int64_t blocks = row.row_blocks;
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) sums[m] = zero();
  int64_t b = 0;
  for (; b + kSums <= blocks; b += kSums) add_blocks<Form, M>(row, later, b, kSums, tokens, sums);
  if (b < blocks) add_blocks<Form, M>(row, later, b, blocks - b, tokens, sums);
  for (int64_t i = 0; i < blocks; i += kLine) prefetch_far(later.scales + i);
}

// The row to be asked for beside row r; r itself, which is there, where it is not known.
OSSIA_INLINE Mxfp4Rows row_later_than(const Rows& rows, int64_t r) {
  const int64_t later = r + kLater / (rows.all.row_blocks * kBlockBytes) + 1;
  if (later < rows.count) return rows.all.from(later);
  return rows.next.blocks == nullptr ? rows.all.from(r) : rows.next.from(later - rows.count);
}

// One row times the M tokens of a run from the first at `run` on, `size` bytes each.
template <class Form, int M>
void tokens_times(const Mxfp4Rows& row, const Mxfp4Rows& later, const char* run, int64_t size, float* y,
                  int64_t stride) {
  const char* tokens[M];
  for (int m = 0; m < M; ++m) tokens[m] = run + m * size;
  F32 sums[M];
  row_times<Form, M>(row, later, tokens, sums);
  for (int m = 0; m < M; ++m) y[m * stride] = sum(sums[m]) * scale_of(tokens[m]);
}

}  // namespace

template <class Form>
int64_t bytes(int64_t blocks) {
  return Shape<Form>{blocks}.bytes();
}

template <class Form>
void arrange(const void* row, int64_t blocks, char* token) {
  const Shape<Form> shape{blocks};
  Columns<Form>* columns = reinterpret_cast<Columns<Form>*>(token + kLine);
  int32_t* offsets = reinterpret_cast<int32_t*>(token + shape.offsets());
  float* scales = reinterpret_cast<float*>(token + shape.scales());
  memset(token, 0, static_cast<size_t>(shape.bytes()));
  memcpy(token, row, sizeof(float));
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t lane = b / kSums * kSums + lane_of(b);
    __m512i even, odd;
    Form::read(row, b, even, odd);
    offsets[lane] = offset_of(even, odd);
    if constexpr (Form::kScalesBlocks) scales[lane] = Form::block_scale(row, blocks, b);
    for (int plane = Form::kPlanes - 1; plane >= 0; --plane) {
      int8_t (&to)[2][64] = columns[b / kGroup].planes[plane];
      _mm_storeu_si128((__m128i*)(to[0] + b % kGroup * kBlockBytes), take_byte(even));
      _mm_storeu_si128((__m128i*)(to[1] + b % kGroup * kBlockBytes), take_byte(odd));
    }
  }
}

template <class Form>
void products(const Rows& rows, const char* run, int64_t tokens, float* y, int64_t stride) {
  const int64_t size = bytes<Form>(rows.all.row_blocks);
  // Several rows side by side would share the loads of activations, which is faster out of the second cache and slower
  // out of memory.
  for (int64_t r = 0; r < rows.count; ++r) {
    const Mxfp4Rows row = rows.all.from(r), later = row_later_than(rows, r);
    with_count<kMostByRows>(tokens, [&](auto m) { tokens_times<Form, m()>(row, later, run, size, y + r, stride); });
  }
}

template int64_t bytes<Middle>(int64_t);
template int64_t bytes<Fine>(int64_t);
template void arrange<Middle>(const void*, int64_t, char*);
template void arrange<Fine>(const void*, int64_t, char*);
template void products<Middle>(const Rows&, const char*, int64_t, float*, int64_t);
template void products<Fine>(const Rows&, const char*, int64_t, float*, int64_t);

}  // namespace ossia::whole::few
