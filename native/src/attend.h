// Attention over a paged cache: how keys and values lie in it, and the pieces that the kernels compute.
//
// A page is `page_size` neighbouring positions of one request. For each key/value head it holds first the keys, then
// the values, so that what one head reads of a page is contiguous:
//
//   keys    [groups of 16 positions][E][16]: positions along the lanes, so that a score needs no sum over lanes. As
//           bfloat16 two neighbouring e share a word, [E / 2][16][2]. The last group of a page may be partly unused.
//   values  [page_size][E rounded up to 32]: e along the lanes. As bfloat16 e and e + 16 of each 32 share a word.
//
// Order of additions, the same however a request is cut into steps, batches and threads: positions are cut at multiples
// of kCut of the absolute position. Within a cut a score is the sum over e in ascending order, multiplied by 1 /
// sqrt(E); weights are summed in 16 lanes by position and then over the lanes; values are added in order of position, a
// fused multiply-add each. Cuts are then folded in ascending order into a state that begins as the sink.

#ifndef OSSIA_ATTEND_H_
#define OSSIA_ATTEND_H_

#include <stdint.h>

namespace ossia {

// Long enough that folding costs nothing beside a cut's products, short enough that the cuts of one long context occupy
// many threads, and that keys and values of one head's cut stay in the second-level cache.
constexpr int kCut = 512;

// Query rows computed together: the heads that share a key/value head, of one or more tokens.
constexpr int kRows = 8;

// Head widths up to this; real ones are 64 or 128.
constexpr int kWidest = 1024;

struct KeyValues {
  char* data;
  int64_t page_bytes;   // of all heads
  int64_t head_bytes;   // of one head in a page
  int64_t value_bytes;  // from a head's first key to its first value
  int page_size;
  int heads;   // K
  int width;   // E, even
  int padded;  // E rounded up to 32
  bool is_bf16;
};

// The visible positions [first, end) of up to kRows query rows.
struct QueryRows {
  const float* q[kRows];  // [E] each
  int32_t first[kRows];
  int32_t end[kRows];
  int count;
};

// A softmax under way, for up to kRows rows: the largest score, the sum of exp(score - largest), and below both
// [kRows][padded] the sum of exp(score - largest) * value. The memory is state_size() floats.
struct State {
  float largest[16];
  float sum[16];
};

// Static, as everything inline that kernels of several instruction sets share must be.
static inline float* mixed_of(State* state, int row, int padded) {
  return reinterpret_cast<float*>(state + 1) + row * padded;
}

constexpr int64_t state_size(int padded) { return 32 + int64_t{kRows} * padded; }

#if defined(OSSIA_ISA)
namespace OSSIA_ISA {

// Writes tokens `first` up to `end` of k and v [T, K, E] to their slots; a slot of -1 is nowhere.
void attend_write(const KeyValues& cache, const float* k, const float* v, const int32_t* slots, int64_t first,
                  int64_t end);

// The state of `rows` over the positions [cut * kCut, (cut + 1) * kCut) alone, from head `head` of the cache; `table`
// is the request's row of pages. A row that sees none of them gets a largest score of -infinity and a sum of 0.
void attend_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                State* state);

// Adds the scores of `part` to those of `state`.
void attend_fold(State* state, State* part, int rows, int padded);

// The weighted mean of the values: y [E] of one row.
void attend_finish(State* state, int row, int width, int padded, float* y);

}  // namespace OSSIA_ISA
#endif

}  // namespace ossia

#endif  // OSSIA_ATTEND_H_
