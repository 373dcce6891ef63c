#pragma once
/// What a fuzz target is, for libFuzzer and for replay_main.cpp alike.

#include <cstddef>
#include <cstdint>

/// Takes any bytes. What must not be ends the process.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace cairn::fuzz {

/// A property that must hold for every input.
inline void require(bool holds) {
  if (!holds)
    __builtin_trap();
}

} // namespace cairn::fuzz
