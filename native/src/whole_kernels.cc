// Compiled with the flags of avx512bf16 and AVX512_VBMI.

#include "whole_kernels.h"

#include "int8_rounding.h"
#include "platform.h"
#include "whole_forms.h"

namespace ossia::whole {
namespace {

// Whether a run goes row by row: of more tokens panels are decoded once. Coarse numbers are those of panels.
bool goes_by_rows(int64_t tokens, bool coarse) {
  if (coarse) return tokens <= kFewTokens;
  return tokens <= (adds_apart() ? kMostByRowsApart : kMostByRows);
}

// The groups of a run that goes by panels: of so few that blocks are met fresh, where that is faster.
TokenGroups groups_of(int64_t tokens, bool coarse) {
  const int64_t most_fresh = coarse && adds_apart() ? kMostFreshApart : kMostFresh;
  return {tokens, tokens <= most_fresh ? kMostFresh : kMostGrouped};
}

// Whether it goes by panels in bytes.
bool goes_by_planes(const TokenGroups& groups, int64_t blocks, bool coarse) {
  const int64_t most = adds_apart() ? planes::kMostGroups : kFewGroups;
  return !coarse && groups.count <= most && blocks <= planes::kMostBlocks;
}

}  // namespace

int64_t bytes(int64_t columns) {
  const int64_t blocks = columns / kBlock, by_rows = few::bytes(blocks);
  const int64_t words = group::bytes(blocks), bytes = planes::bytes(blocks), by_panels = words > bytes ? words : bytes;
  return by_rows > by_panels ? by_rows : by_panels;
}

void pack(const float* x, int64_t columns, void* row) {
  const Unit unit = unit_of(x, columns, kActivationLargest);
  const float scale = unit.scale / 2;  // weights are looked up doubled
  memcpy(row, &scale, sizeof(scale));
  int16_t* to = reinterpret_cast<int16_t*>(static_cast<char*>(row) + kLine);
  for (int64_t c = 0; c < columns; c += kBlock) {
    int32_t integers[kBlock];
    to_integers(x + c, kBlock, unit.factor, integers);
    for (int64_t i = 0; i < kBlock; ++i) to[c + i] = static_cast<int16_t>(integers[i]);
  }
}

void arrange(const void* const* rows, int64_t tokens, int64_t columns, bool coarse, void* run) {
  const int64_t blocks = columns / kBlock;
  char* to = static_cast<char*>(run);
  if (goes_by_rows(tokens, coarse)) {
    for (int64_t t = 0; t < tokens; ++t) few::arrange(rows[t], blocks, to + t * few::bytes(blocks));
    return;
  }
  const TokenGroups groups = groups_of(tokens, coarse);
  const bool by_planes = goes_by_planes(groups, blocks, coarse);
  for (int64_t g = 0; g < groups.count; ++g) {
    const int64_t begin = groups.begin(g), count = groups.begin(g + 1) - begin;
    if (by_planes) {
      planes::arrange(rows + begin, count, blocks, to + begin * planes::bytes(blocks));
    } else {
      group::arrange(rows + begin, count, blocks, coarse, to + begin * group::bytes(blocks));
    }
  }
}

void products(const Matrix& matrix, int64_t first, int64_t rows, const void* run, int64_t tokens, bool coarse, float* y,
              int64_t stride) {
  const int64_t blocks = matrix.columns / kBlock;
  const Mxfp4Rows all{static_cast<const uint8_t*>(matrix.values), matrix.scales, blocks};
  const Mxfp4Rows next{static_cast<const uint8_t*>(matrix.next), matrix.next_scales, blocks};
  const Rows some{all.from(first), next, rows};
  const char* from = static_cast<const char*>(run);
  if (goes_by_rows(tokens, coarse)) return few::products(some, from, tokens, y, stride);
  const TokenGroups groups = groups_of(tokens, coarse);
  if (goes_by_planes(groups, blocks, coarse)) return planes::products(some, from, groups, y, stride);
  group::products(some, from, groups, coarse, y, stride);
}

}  // namespace ossia::whole
