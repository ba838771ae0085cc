// Tokens whose activations lie side by side for the processor's products of words.

#ifndef OSSIA_TOKEN_GROUPS_H_
#define OSSIA_TOKEN_GROUPS_H_

#include <stdint.h>

namespace ossia {

// The most tokens of a group: a whole number and a float32 for each are 24 of 32 registers.
constexpr int64_t kMostGrouped = 12;

// Groups as equal as can be: fifteen tokens are better done as eight and seven than as twelve and three.
struct TokenGroups {
  int64_t tokens;
  int64_t most = kMostGrouped;
  int64_t count = (tokens + most - 1) / most;

  int64_t begin(int64_t group) const { return group * tokens / count; }
};

}  // namespace ossia

#endif  // OSSIA_TOKEN_GROUPS_H_
