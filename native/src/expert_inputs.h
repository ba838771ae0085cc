// What the products of one weight of the experts are made of, in the forms in which they take it.

#ifndef OSSIA_EXPERT_INPUTS_H_
#define OSSIA_EXPERT_INPUTS_H_

#include <cstdint>

#include "activations.h"
#include "context.h"
#include "low_rank.h"
#include "matrix.h"
#include "whole_rows.h"

namespace ossia {

// Some rows of one expert's matrix, for all its pairs: those at the places from `place` on.
struct Part {
  Matrix matrix;
  int64_t expert, place, pairs, first, rows;
};

// Rows of activations [rows, weight.columns], and the places [pairs] at which they meet the experts; an expert's places
// are a run. Runs may be whole numbers (`expert_rounding` of kernels.h says which); all others are plain rows or groups
// of them, and so is what low-rank terms take.
class ExpertInputs {
 public:
  ExpertInputs(ossia_context& context, int64_t rows, int64_t pairs, const ossia_weight& weight,
               const ossia_low_rank* terms, int32_t precision, int64_t most_rows)
      : kernels_(context.kernels),
        pairs_(pairs),
        weight_(weight),
        rounding_(expert_rounding(context.kernels, precision)),
        most_whole_(most_whole(context.kernels, weight, precision, rounding_)),
        plain_(context, most_whole_ < INT64_MAX || terms != nullptr ? rows : 0, weight.columns,
               precision != OSSIA_EXACT),
        whole_(context, most_whole_ > 0 ? rows : 0, most_whole_ > 0 ? pairs : 0, weight.columns,
               grain_of(precision, rounding_)),
        operands_(context, pairs, weight, precision != OSSIA_EXACT),
        low_rank_(context, weight, terms, pairs, most_rows, precision != OSSIA_EXACT) {}

  // Bytes of scratch that `take` uses.
  size_t room() const {
    return plain_.room() + whole_.room() + operands_.room() + low_rank_.room() + ossia::room<const void*>(pairs_);
  }

  // row_of(place) is the row at a place; `adapters` [pairs] are used as long as this object.
  template <class F>
  void take(Scratch& scratch, const int32_t* adapters, F&& row_of) {
    plain_.take(scratch);
    whole_.take(scratch, row_of);
    plain_rows_ = scratch.take<const void*>(pairs_);
    for (int64_t place = 0; place < pairs_; ++place) plain_rows_[place] = plain_.row(row_of(place));
    operands_.take(scratch, plain_rows_);
    low_rank_.take(scratch, adapters);
  }

  bool is_whole(int64_t pairs) const { return pairs <= most_whole_; }
  bool is_plain(int64_t pairs) const { return !is_whole(pairs) || low_rank_.any(); }
  bool has_terms() const { return low_rank_.any(); }
  // Whether runs have to be arranged when their rows are packed.
  bool arranges() const { return most_whole_ > 0 || operands_.grouped(); }

  // All rows from x [rows, weight.columns].
  void pack(const float* x) {
    plain_.pack(x);
    whole_.pack_all(x);
  }
  // Some columns of a plain row; all of a whole one.
  void pack_plain(int64_t row, int64_t first, const float* x, int64_t count) { plain_.pack(row, first, x, count); }
  void pack_whole(int64_t row, const float* x) { whole_.pack(row, x); }

  void arrange(int64_t place, int64_t pairs) const {
    if (is_whole(pairs)) return whole_.arrange(place, pairs);
    operands_.arrange(place, pairs);
  }

  void shrink(int64_t place, int64_t expert, int thread) const {
    low_rank_.shrink(place, expert, plain_rows_[place], thread);
  }

  // y[i * stride + r] = row r of the part for its pair i, bias and low-rank term included.
  void project(const Part& part, float* y, int64_t stride, int thread) const {
    if (is_whole(part.pairs)) {
      whole_.products(part.matrix, part.first, part.rows, part.place, part.pairs, y, stride);
    } else {
      operands_.products(part.matrix, part.first, part.rows, part.place, part.pairs, y, stride);
    }
    if (weight_.bias != nullptr) {
      const float* bias = weight_.bias + part.expert * weight_.rows + part.first;
      for (int64_t i = 0; i < part.pairs; ++i) kernels_.add_scaled(y + i * stride, bias, 1.f, part.rows);
    }
    low_rank_.add(part.place, part.pairs, part.expert, part.first, part.rows, y, stride, thread);
  }

 private:
  static int64_t most_whole(const Kernels& kernels, const ossia_weight& weight, int32_t precision,
                            const ExpertRounding& rounding) {
    if (weight.dtype != OSSIA_MXFP4 || weight.rows % kWholeRows != 0) return 0;
    if (precision == OSSIA_EXACT) return has_fine_products(kernels, weight.columns) ? INT64_MAX : 0;
    return rounding.rest == OSSIA_INT8 ? INT64_MAX : rounding.whole_tokens;
  }
  static Grain grain_of(int32_t precision, const ExpertRounding& rounding) {
    if (precision == OSSIA_EXACT) return Grain::kFine;
    return rounding.rest == OSSIA_INT8 ? Grain::kCoarse : Grain::kMiddle;
  }

  const Kernels& kernels_;
  const int64_t pairs_;
  const ossia_weight& weight_;
  const ExpertRounding rounding_;
  const int64_t most_whole_;  // pairs of a run
  Activations plain_;
  WholeRows whole_;
  Operands operands_;
  LowRank low_rank_;
  const void** plain_rows_ = nullptr;  // of each place
};

}  // namespace ossia

#endif  // OSSIA_EXPERT_INPUTS_H_
