// Drawing tokens from logits: what the kernels compute of one row's slice of the vocabulary.
//
// The definition is src/ossia/ops/sampling.py. A slice is kSlice neighbouring tokens; slices are put together in
// ascending order, so neither threads nor batches change a bit.

#ifndef OSSIA_SAMPLE_H_
#define OSSIA_SAMPLE_H_

#include <stdint.h>

namespace ossia {

constexpr int64_t kSlice = 8192;

// Filters look for the place where they cut among this many classes of tokens, by how far a score lies below the
// largest: class b holds differences from b / 64 on. The last one holds all that is further away than 32, probability
// 1e-14.
constexpr int kClasses = 2048;
constexpr float kClassesPerUnit = 64.f;

// Tokens are counted in float lanes.
constexpr int64_t kMostVocabulary = 1 << 24;

// One row and how to draw from it.
struct Row {
  const float* scores;   // [V], bias added
  const uint32_t* mask;  // a bit for each token, or nullptr: all are allowed
  float temperature;     // 0: the largest score
  uint64_t key;          // of the noise at this row's seed and position
  // Where a filter is on: the largest score, and the last token that is kept in the order of falling scores.
  bool is_filtered;
  float top;
  float least_score;
  float least_token;
  float least_weight;  // of min_p
};

struct Candidate {
  float score;
  int32_t token;  // -1: none
};

struct Class {
  int64_t count;
  double weight;  // sum of exp(score - top)
};

// SplitMix64's output function. Static, as everything inline that kernels of several instruction sets share must be.
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;
static inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

#if defined(OSSIA_ISA)
namespace OSSIA_ISA {

// All of tokens [first, end) of a row; `first` is a multiple of 16. A score is divided by the temperature, unless that
// is 0; one that is NaN counts as -infinity, +infinity as the largest float.

// The best token, with its noise unless the temperature is 0, among those that mask and filter leave.
void sample_best(const Row& row, int64_t first, int64_t end, Candidate* best);

// Sets the bits of the tokens that mask and filter leave whose score, with its noise as above, is at least `least` and
// more than -infinity: bit v % 32 of word v / 32. `first` is a multiple of 32.
void sample_reaching(const Row& row, int64_t first, int64_t end, float least, uint32_t* reaching);

// The largest score that the mask leaves.
float sample_largest(const Row& row, int64_t first, int64_t end);

// Adds the tokens to classes[kClasses]; needs `top`. Weights are summed in order of the tokens.
void sample_classes(const Row& row, int64_t first, int64_t end, Class* classes);

// Stores the tokens of class `number`, in order; returns how many.
int64_t sample_members(const Row& row, int64_t first, int64_t end, int number, Candidate* members);

// The largest of the logits, and the sum of exp(logit - largest) in 16 lanes and then over them.
void sample_log_sum(const float* logits, int64_t first, int64_t end, float* largest, float* sum);

// exp of one number, the same bits as in a kernel.
float sample_weight(float difference);

}  // namespace OSSIA_ISA
#endif

}  // namespace ossia

#endif  // OSSIA_SAMPLE_H_
