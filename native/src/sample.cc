// The draw of one token for each row of logits.

#include "sample.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "context.h"
#include "draws.h"

namespace ossia {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Falling scores, and among equals rising tokens.
bool is_better(const Candidate& a, const Candidate& b) {
  return a.score > b.score || (a.score == b.score && a.token < b.token);
}

float cleaned(float logit) { return std::isnan(logit) ? kNothing : std::min(logit, std::numeric_limits<float>::max()); }

// One call: its rows, cut into slices, and the memory for what the slices give.
class Drawing {
 public:
  Drawing(ossia_context* context, const float* logits, int64_t rows, int64_t vocabulary, const ossia_draw& draw)
      : pool_(context->pool),
        kernels_(context->kernels),
        logits_(logits),
        rows_count_(rows),
        vocabulary_(vocabulary),
        slices_(divide_up(vocabulary, kSlice)),
        tops_(std::min(draw.top_logprobs, kSlice)),
        draw_(draw) {}

  // False when there is no memory.
  bool prepare(Scratch& scratch) {
    int64_t biased = 0, filtered = 0;
    for (int64_t row = 0; row < rows_count_; ++row) {
      biased += is_biased(draw_, row) ? 1 : 0;
      filtered += is_filtered(draw_, row) ? 1 : 0;
    }
    const int64_t parts = rows_count_ * slices_, classes = filtered > 0 ? slices_ * kClasses : 0;
    const int64_t members = filtered > 0 ? vocabulary_ : 0, tops = parts * tops_;
    const size_t each_biased = room<float>(vocabulary_);
    if (!scratch.reserve(room<Row>(rows_count_) + room<Candidate>(parts) + 2 * room<float>(parts) +
                         room<Class>(classes) + room<Candidate>(members) + room<Candidate>(tops) +
                         room<int32_t>(pool_.threads() * kSlice) + static_cast<size_t>(biased) * each_biased)) {
      return false;
    }
    rows_ = scratch.take<Row>(rows_count_);
    best_ = scratch.take<Candidate>(parts);
    largest_ = scratch.take<float>(parts);
    sums_ = scratch.take<float>(parts);
    classes_ = scratch.take<Class>(classes);
    members_ = scratch.take<Candidate>(members);
    top_ = scratch.take<Candidate>(tops);
    order_ = scratch.take<int32_t>(pool_.threads() * kSlice);
    for (int64_t row = 0; row < rows_count_; ++row) {
      rows_[row] = scored(row, is_biased(draw_, row) ? scratch.take<float>(vocabulary_) : nullptr);
    }
    return true;
  }

  void run() {
    for (int64_t row = 0; row < rows_count_; ++row) {
      if (is_filtered(draw_, row)) filter(row);
    }
    pool_.run(rows_count_ * slices_, [&](int64_t part, int thread) {
      const int64_t row = part / slices_, slice = part % slices_, first = slice * kSlice;
      kernels_.sample_best(rows_[row], first, end_of(slice), &best_[part]);
      if (draw_.logprobs == 0) return;
      kernels_.sample_log_sum(logits_ + row * vocabulary_, first, end_of(slice), &largest_[part], &sums_[part]);
      if (tops_ > 0) find_tops(row, slice, order_ + thread * kSlice);
    });
  }

  int32_t token(int64_t row) const {
    Candidate best{kNothing, -1};
    for (int64_t part = row * slices_; part < (row + 1) * slices_; ++part) {
      if (best_[part].score > best.score) best = best_[part];
    }
    return best.token;
  }

  // The logarithm of the sum of exp(logit).
  float log_sum(int64_t row) const {
    const float* largest = largest_ + row * slices_;
    const float most = *std::max_element(largest, largest + slices_);
    double sum = 0;
    for (int64_t slice = 0; slice < slices_; ++slice) {
      if (largest[slice] == kNothing) continue;
      sum += static_cast<double>(sums_[row * slices_ + slice]) * std::exp(static_cast<double>(largest[slice]) - most);
    }
    return most == kNothing ? most : static_cast<float>(most + std::log(sum));
  }

  float logprob(int64_t row, int32_t token, float log_sum) const {
    if (token < 0 || log_sum == kNothing) return kNothing;
    return cleaned(logits_[row * vocabulary_ + token]) - log_sum;
  }

  void store_tops(int64_t row, float log_sum, int32_t* tokens, float* values) {
    Candidate* found = top_ + row * slices_ * tops_;
    const int64_t wanted = draw_.top_logprobs;
    Candidate* end = std::remove_if(found, found + slices_ * tops_, [](const Candidate& c) { return c.token < 0; });
    std::partial_sort(found, found + wanted, end, is_better);
    for (int64_t i = 0; i < wanted; ++i) {
      tokens[i] = found[i].token;
      values[i] = logprob(row, found[i].token, log_sum);
    }
  }

 private:
  int64_t end_of(int64_t slice) const { return std::min((slice + 1) * kSlice, vocabulary_); }

  // `biased` is where to put the scores of a row that has biases, or nullptr.
  Row scored(int64_t row, float* biased) const {
    const float* scores = logits_ + row * vocabulary_;
    if (biased == nullptr) return row_of(draw_, row, scores);
    std::copy_n(scores, vocabulary_, biased);
    add_biases(draw_, row, 0, vocabulary_, biased);
    return row_of(draw_, row, biased);
  }

  // The best `top_logprobs` of a slice; -1 fills the rest of its places.
  void find_tops(int64_t row, int64_t slice, int32_t* order) {
    const float* logits = logits_ + row * vocabulary_;
    const int64_t first = slice * kSlice, count = end_of(slice) - first, wanted = std::min(tops_, count);
    for (int64_t i = 0; i < count; ++i) order[i] = static_cast<int32_t>(first + i);
    std::partial_sort(order, order + wanted, order + count, [&](int32_t a, int32_t b) {
      return is_better({cleaned(logits[a]), a}, {cleaned(logits[b]), b});
    });
    Candidate* found = top_ + (row * slices_ + slice) * tops_;
    for (int64_t i = 0; i < tops_; ++i) {
      found[i] = i < wanted ? Candidate{cleaned(logits[order[i]]), order[i]} : Candidate{kNothing, -1};
    }
  }

  // Finds where a row's filters cut.
  void filter(int64_t index) {
    Row& row = rows_[index];
    float* largest = largest_ + index * slices_;
    pool_.run(slices_, [&](int64_t slice, int) {
      largest[slice] = kernels_.sample_largest(row, slice * kSlice, end_of(slice));
    });
    row.top = *std::max_element(largest, largest + slices_);
    if (row.top == kNothing) return;
    const int64_t top_k = draw_.top_k[index];
    const double top_p = draw_.top_p[index];
    if (top_k > 0 || top_p < 1) {
      classify(row);
      Candidate last{kNothing, static_cast<int32_t>(kMostVocabulary)};
      double weight = 0;
      int64_t count = 0;
      for (int number = 0; number < kClasses; ++number) {
        weight += classes_[number].weight;
        count += classes_[number].count;
      }
      if (top_k > 0 && top_k < count) weight = keep_count(row, top_k, last);
      if (top_p < 1) keep_weight(row, top_p * weight, last);
      row.least_score = last.score;
      row.least_token = static_cast<float>(last.token);
    }
    row.least_weight = draw_.min_p[index];
    row.is_filtered = true;
  }

  // Puts the row's classes into those of the first slice.
  void classify(const Row& row) {
    pool_.run(slices_, [&](int64_t slice, int) {
      Class* classes = classes_ + slice * kClasses;
      std::fill_n(classes, kClasses, Class{0, 0});
      kernels_.sample_classes(row, slice * kSlice, end_of(slice), classes);
    });
    for (int64_t slice = 1; slice < slices_; ++slice) {
      for (int number = 0; number < kClasses; ++number) {
        classes_[number].count += classes_[slice * kClasses + number].count;
        classes_[number].weight += classes_[slice * kClasses + number].weight;
      }
    }
  }

  // Sets `last` to the last of the `count` best tokens, fewer than there are; returns what they weigh.
  double keep_count(const Row& row, int64_t count, Candidate& last) {
    int number = 0;
    int64_t before = 0;
    double weight = 0;
    for (; before + classes_[number].count < count; ++number) {
      before += classes_[number].count;
      weight += classes_[number].weight;
    }
    sort_members(row, number);
    for (int64_t i = 0; i < count - before; ++i) weight += weight_of(row, members_[i]);
    last = members_[count - before - 1];
    return weight;
  }

  // Moves `last` forward to the last token whose betters weigh less than `target`; the best token always stays.
  void keep_weight(const Row& row, double target, Candidate& last) {
    int number = 0;
    double before = 0;
    while (number < kClasses && before + classes_[number].weight < target) before += classes_[number++].weight;
    if (number == kClasses) return;
    const int64_t count = sort_members(row, number);
    Candidate kept = members_[0];
    before += weight_of(row, kept);
    for (int64_t i = 1; i < count && before < target; ++i) {
      kept = members_[i];
      before += weight_of(row, kept);
    }
    if (is_better(kept, last)) last = kept;
  }

  // The tokens of one class, best first; returns how many.
  int64_t sort_members(const Row& row, int number) {
    int64_t count = 0;
    for (int64_t slice = 0; slice < slices_; ++slice) {
      count += kernels_.sample_members(row, slice * kSlice, end_of(slice), number, members_ + count);
    }
    std::sort(members_, members_ + count, is_better);
    return count;
  }

  double weight_of(const Row& row, const Candidate& candidate) const {
    return static_cast<double>(kernels_.sample_weight(candidate.score - row.top));
  }

  Pool& pool_;
  const Kernels& kernels_;
  const float* logits_;
  const int64_t rows_count_, vocabulary_, slices_;
  const int64_t tops_;  // alternatives kept of each slice
  const ossia_draw& draw_;
  Row* rows_ = nullptr;
  Candidate *best_ = nullptr, *members_ = nullptr, *top_ = nullptr;
  float *largest_ = nullptr, *sums_ = nullptr;
  Class* classes_ = nullptr;
  int32_t* order_ = nullptr;
};

}  // namespace
}  // namespace ossia

int32_t ossia_sample(ossia_context* context, const float* logits, int64_t rows, int64_t vocabulary,
                     const ossia_draw* draw, int32_t* tokens, float* logprobs, int32_t* top_tokens, float* top_values) {
  if (draw == nullptr || rows < 0 || vocabulary <= 0 || vocabulary > ossia::kMostVocabulary || draw->top_logprobs < 0 ||
      draw->top_logprobs > vocabulary || !ossia::is_sound(*draw, rows, vocabulary)) {
    return OSSIA_BAD_ARGUMENT;
  }
  if (!ossia::has_known_tokens(*draw, rows, vocabulary)) return OSSIA_BAD_INDEX;
  const ossia::Call call(context);
  ossia::Drawing drawing(context, logits, rows, vocabulary, *draw);
  if (!drawing.prepare(context->scratch)) return OSSIA_OUT_OF_MEMORY;
  drawing.run();
  for (int64_t row = 0; row < rows; ++row) {
    tokens[row] = drawing.token(row);
    if (draw->logprobs == 0) continue;
    const float log_sum = drawing.log_sum(row);
    logprobs[row] = drawing.logprob(row, tokens[row], log_sum);
    const int64_t place = row * draw->top_logprobs;
    if (draw->top_logprobs > 0) drawing.store_tops(row, log_sum, top_tokens + place, top_values + place);
  }
  return OSSIA_OK;
}
