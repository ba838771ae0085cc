// Compiled with the flags of avx512bf16. A line of keys is two e of 16 positions, and a line of values 16 e of two
// positions: both meet a pair of a query's numbers, or of its weights, that is the same in every lane.

#include "attend_pair_kernels.h"

#include "attend_pages.h"
#include "count.h"

namespace ossia::pairs {
namespace {

using namespace OSSIA_ISA;

// Groups of positions, or of e, whose sums are made together: with eight rows 16 sums, which fit the registers and hide
// the latency of a product, and a pair is brought to all lanes once for both.
constexpr int kTogether = 2;  // as the loops below are unrolled, and `padded` is a multiple of 32

// Rows of numbers, as bfloat16.
template <int64_t kMost>
struct Halves {
  alignas(64) uint16_t numbers[kRows][kMost];

  OSSIA_INLINE void set(int row, int64_t column, F32 values) {
    const __m256bh half = _mm512_cvtneps_pbh(values.v);
    memcpy(numbers[row] + column, &half, sizeof(half));
  }
  // Numbers `column` and the next of a row, in every lane.
  OSSIA_INLINE __m512bh pair(int row, int64_t column) const {
    int32_t both;
    memcpy(&both, numbers[row] + column, sizeof(both));
    return (__m512bh)_mm512_set1_epi32(both);
  }
};

OSSIA_INLINE __m512bh line_at(const uint16_t* p) { return (__m512bh)_mm512_loadu_si512(p); }

// ROWS times COUNT registers of sums.
template <int ROWS, int COUNT>
struct Sums {
  __m512 of[ROWS][COUNT];

  OSSIA_INLINE Sums() {
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
#pragma GCC unroll 2
      for (int i = 0; i < COUNT; ++i) of[row][i] = _mm512_setzero_ps();
    }
  }
  // Column and column + 1 of each row times a line for each of COUNT.
  template <int64_t kMost>
  OSSIA_INLINE void add(const Halves<kMost>& halves, int64_t column, const uint16_t* const (&lines)[COUNT]) {
    __m512bh numbers[COUNT];
#pragma GCC unroll 2
    for (int i = 0; i < COUNT; ++i) numbers[i] = line_at(lines[i]);
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      const __m512bh pair = halves.pair(row, column);
#pragma GCC unroll 2
      for (int i = 0; i < COUNT; ++i) of[row][i] = _mm512_dpbf16_ps(of[row][i], pair, numbers[i]);
    }
  }
};

// One cut.
template <int ROWS>
class Cut : CutWork<uint16_t> {
 public:
  using CutWork::CutWork;

  void run() {
    score();
    weigh_rows(rows_, origin_, span_, scores_, state_);
    mix();
  }

 private:
  void score() {
    Halves<kWidest> query;
    for (int row = 0; row < ROWS; ++row) {
      int e = 0;
      for (; e + kLanes <= cache_.width; e += kLanes) query.set(row, e, load(rows_.q[row] + e));
      if (e < cache_.width) query.set(row, e, load_tail(rows_.q[row] + e, cache_.width - e));
    }
    for (int block = pages_.first_block(); block < pages_.end_block(); ++block) {
      const Quartet<uint16_t> keys = pages_.keys(block);
      int i = keys.first;
      for (; i + kTogether <= keys.end; i += kTogether) score_groups<kTogether>(query, keys, block, i);
      if (i < keys.end) score_groups<1>(query, keys, block, i);
    }
  }

  template <int COUNT>
  OSSIA_INLINE void score_groups(const Halves<kWidest>& query, const Quartet<uint16_t>& keys, int block, int first) {
    Sums<ROWS, COUNT> sums;
    for (int e = 0; e < cache_.width; e += 2) {
      const uint16_t* lines[COUNT];
#pragma GCC unroll 2
      for (int i = 0; i < COUNT; ++i) {
        lines[i] = keys.at[first + i] + e * kLanes;
        prefetch_far(keys.ahead[first + i] + e * kLanes);
      }
      sums.add(query, e, lines);
    }
    const F32 factor = broadcast(1.f / __builtin_sqrtf(static_cast<float>(cache_.width)));
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      float* to = scores_.at(row, block * kValueBlock + first * kLanes);
#pragma GCC unroll 2
      for (int i = 0; i < COUNT; ++i) store(to + i * kLanes, mul(F32{sums.of[row][i]}, factor));
    }
  }

  void mix() {
    Halves<kCut> weights;
    for (int row = 0; row < ROWS; ++row) {
      for (int i = span_.begin_of_group(); i < span_.end_of_group(); i += kLanes) {
        weights.set(row, i, load(scores_.at(row, i)));
      }
    }
    for (int block = 0; block < cache_.padded / kLanes; block += kTogether) mix_blocks(weights, block);
  }

  // The sums of kTogether times 16 e.
  void mix_blocks(const Halves<kCut>& weights, int block) {
    Sums<ROWS, kTogether> sums;
    for (int quartet = pages_.first_block(); quartet < pages_.end_block(); ++quartet) {
      const Quartet<uint16_t> values = pages_.values(quartet, true);
      for (int i = values.first; i < values.end; ++i) {
        const char* at = reinterpret_cast<const char*>(values.at[i]) + block * values.line[i];
        const char* ahead = reinterpret_cast<const char*>(values.ahead[i]) + block * values.line[i];
        for (int line = 0; line < kLanes / 2; ++line) {
          const uint16_t* lines[kTogether];
#pragma GCC unroll 2
          for (int j = 0; j < kTogether; ++j) {
            lines[j] = reinterpret_cast<const uint16_t*>(at + j * values.line[i] + line * kLineBytes);
            prefetch_far(ahead + j * values.line[i] + line * kLineBytes);
          }
          sums.add(weights, quartet * kValueBlock + i * kLanes + line * 2, lines);
        }
      }
    }
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      float* mixed = mixed_of(state_, row, cache_.padded) + block * kLanes;
#pragma GCC unroll 2
      for (int j = 0; j < kTogether; ++j) store(mixed + j * kLanes, F32{sums.of[row][j]});
    }
  }
};

}  // namespace

void attend_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                State* state) {
  if (cache.dtype != OSSIA_BF16) return OSSIA_ISA::attend_cut(cache, head, table, cut, rows, state);
  with_count<kRows>(rows.count, [&](auto count) { Cut<count()>(cache, head, table, cut, rows, state).run(); });
}

}  // namespace ossia::pairs
