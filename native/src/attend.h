// Attention over a paged cache: how keys and values lie in it, and the pieces that the kernels compute.
//
// A page is `page_size` neighbouring positions of one request. For each key/value head it holds first the keys, then
// the values, so that what one head reads of a page is contiguous. Numbers lie in words of 4 bytes: one as float32, two
// as bfloat16, four in 8 bits; n of them to a word:
//
//   keys    [groups of 16 positions][E / n rounded up][16][n]: positions along the lanes, so that a score needs no sum
//           over lanes, and neighbouring e share a word. The last group of a page may be partly unused.
//   values  [E / 16, rounded up to an even number][page_size / n rounded up][16][n]: e along the lanes, and positions
//           that are neighbours share a word.
//   scales  of keys and then of values, [groups of 16 positions][16] float32 each; in 8 bits only.
//
// In 8 bits a byte b stands for (b - 128) * scale, with one scale for each token and head: the largest magnitude over
// 127, or NaN where one is not finite. Weights of the values and queries meet them as whole numbers of 15 bits, as
// activations do in int8.h: those of a query have one scale, those of kValueBlock neighbouring values another. So sums
// are exact, and the bits are the same on every instruction set that has a fused multiply-add.
//
// Order of additions, the same however a request is cut into steps, batches and threads: positions are cut at multiples
// of kCut of the absolute position. Within a cut a score is the sum over e in ascending order, multiplied by 1 /
// sqrt(E); weights are summed in 16 lanes by position and then over the lanes; values are added in order of position, a
// fused multiply-add each. Cuts are then folded in ascending order into a state that begins as the sink. A weight below
// e^-42 of the largest one's, of a position in its cut or of a cut in the whole, is zero. In 8 bits the values of a
// block are summed exactly and blocks added in ascending order; with matrix tiles, and where products of pairs are
// fast, those in bfloat16 are added as attend_tile_kernels.h and attend_pair_kernels.h say.

#ifndef OSSIA_ATTEND_H_
#define OSSIA_ATTEND_H_

#include <stdint.h>

#include "ossia.h"

namespace ossia {

// Long enough that folding costs nothing beside a cut's products, short enough that the cuts of one long context occupy
// many threads, and that keys and values of one head's cut stay in the second-level cache.
constexpr int kCut = 512;

// Positions whose values in 8 bits are summed exactly; kCut is a multiple of it.
constexpr int kValueBlock = 64;

// Positions whose keys are asked for before their cut is begun, and the distance at which a cut asks for its own:
// enough for memory to go on giving meanwhile.
constexpr int kAsked = 64;

// Query rows computed together: the heads that share a key/value head, of one or more tokens.
constexpr int kRows = 8;

// Head widths up to this, and in 8 bits, where the sum of a score must fit 32 bits; real ones are 64 or 128.
constexpr int kWidest = 1024;
constexpr int kWidestInt8 = 256;

struct KeyValues {
  char* data;
  int64_t page_bytes;   // of all heads
  int64_t head_bytes;   // of one head in a page
  int64_t value_bytes;  // from a head's first key to its first value
  int64_t scale_bytes;  // to its first scale
  int page_size;
  int heads;      // K
  int width;      // E, even
  int padded;     // E rounded up to 32
  int groups;     // of 16 positions in a page
  int words;      // in which the values of one e lie
  int32_t dtype;  // ossia_dtype
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

// Asks memory for the keys of the positions [first, end), which a later call begins with.
void attend_ask(const KeyValues& cache, int head, const int32_t* table, int32_t first, int32_t end);

// Adds the scores of `part` to those of `state`.
void attend_fold(State* state, State* part, int rows, int padded);

// The weighted mean of the values: y [E] of one row.
void attend_finish(State* state, int row, int width, int padded, float* y);

}  // namespace OSSIA_ISA
#endif

}  // namespace ossia

#endif  // OSSIA_ATTEND_H_
