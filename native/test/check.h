// The whole test framework: CHECK prints what failed and counts it, and main returns whether anything did (an exit
// status has 8 bits: 256 failures would be none).

#ifndef OSSIA_TEST_CHECK_H_
#define OSSIA_TEST_CHECK_H_

#include <cstdio>

namespace ossia::test {
inline int failures = 0;
}

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
      ++ossia::test::failures;                                            \
    }                                                                     \
  } while (0)

// CHECK with printf's words for what was found.
#define CHECK_THAT(condition, ...)                                        \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::printf("%s:%d: failed: %s: ", __FILE__, __LINE__, #condition); \
      std::printf(__VA_ARGS__);                                           \
      std::printf("\n");                                                  \
      ++ossia::test::failures;                                            \
    }                                                                     \
  } while (0)

#endif  // OSSIA_TEST_CHECK_H_
