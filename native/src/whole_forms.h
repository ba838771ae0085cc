// The three forms of a run, which whole_kernels.cc chooses from: rows of few tokens, planes of more, and groups.

#ifndef OSSIA_WHOLE_FORMS_H_
#define OSSIA_WHOLE_FORMS_H_

#include "operands.h"
#include "token_groups.h"
#include "whole_numbers.h"

namespace ossia::whole {

using namespace OSSIA_ISA;

// Some rows of a matrix, and those that this thread comes to after them.
struct Rows {
  Mxfp4Rows all, next;
  int64_t count;
};

// Up to 16 bytes of a row's scales from block b on.
OSSIA_INLINE __m128i scales_of(const Mxfp4Rows& row, int64_t b, int64_t count) {
  return _mm_maskz_loadu_epi8(first_lanes(static_cast<int>(least(kSums, count))), row.scales + b);
}

// Of 64 bytes, twice the weights plus 12, of the low nibbles and of the high nibbles. The table is there four times, so
// that the upper two of the six bits that a lookup takes do not matter and no nibble has to be cut out.
OSSIA_INLINE void look_up(__m512i bytes, __m512i& even, __m512i& odd) {
  const __m512i table =
      _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  even = _mm512_permutexvar_epi8(bytes, table);
  odd = _mm512_permutexvar_epi8(_mm512_srli_epi16(bytes, 4), table);
}

// Up to so many groups are few: with them decoding a panel takes longer than multiplying it.
constexpr int64_t kFewGroups = 2;

// A few tokens, whose sums lie in registers. On a Xeon, weights from memory, rows take 0.85 of the time of panels for
// three tokens, 0.95 for four and 1.25 for five; on a Zen 4 0.8 for two, 0.9 for three and 1.1 for four.
constexpr int64_t kMostByRows = 4, kMostByRowsApart = 3;
namespace few {
template <class Form>
int64_t bytes(int64_t blocks);  // of a token
template <class Form>
void arrange(const void* row, int64_t blocks, char* token);
// Token t lies at run + t * bytes(blocks).
template <class Form>
void products(const Rows& rows, const char* run, int64_t tokens, float* y, int64_t stride);
}  // namespace few

// Groups of up to so many tokens may meet a panel's blocks fresh, multiplied as they are decoded and not kept: there
// are registers for them beside three for each token. A single group does; on a Xeon, weights from memory, one thread,
// that takes 0.95 of the time for six tokens of 15 bits and 0.92 for eight; of 8 bits 0.87 for four, 0.93 for five and
// 0.98 for eight. Where additions have units of their own, decoding costs so little beside products that several groups
// each decode anew: on a Zen 4 those of 8 bits take 0.96 for twelve tokens, 0.87 for sixteen, 0.92 for 24, and 1.05 for
// sixty, and those of 23 bits 0.99 for sixteen and 0.95 for 64 that chose among 32 experts. Of 15 bits they do not.
constexpr int kMostFresh = 8;
constexpr int64_t kMostFreshApart = 32;
OSSIA_INLINE bool goes_fresh(const TokenGroups& groups) { return groups.most <= kMostFresh; }

// More, in few groups, beside rows of up to so many blocks. On the same Xeon panels of bytes take 0.8 of the time of
// words for eight tokens, 0.87 for twelve and 0.96 for 24. Where additions have units of their own, they take less for
// more groups, too, since they are what bytes need more of: on a Zen 4 0.88 for 25 tokens and 0.92 for sixty.
namespace planes {
constexpr int64_t kMostBlocks = kMostFineColumns / kBlock, kMostGroups = 12;
template <class Form>
int64_t bytes(int64_t blocks);  // of a token
template <class Form>
void arrange(const void* const* rows, int64_t count, int64_t blocks, char* group);
// As those of group.
template <class Form>
void products(const Rows& rows, const char* run, const TokenGroups& groups, float* y, int64_t stride);
}  // namespace planes

// More, in groups.
namespace group {
int64_t bytes(int64_t blocks);  // of a token
void arrange(const void* const* rows, int64_t count, int64_t blocks, bool coarse, char* group);
// The group that begins with token t lies at run + t * bytes(blocks); the rows' number is a multiple of kWholeRows.
void products(const Rows& rows, const char* run, const TokenGroups& groups, bool coarse, float* y, int64_t stride);
}  // namespace group

}  // namespace ossia::whole

#endif  // OSSIA_WHOLE_FORMS_H_
