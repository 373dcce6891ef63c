#pragma once
/// Digests large payloads beside each other, so that no big one holds up the writer.

#include "actors/interfaces.hpp"

#include <caf/typed_event_based_actor.hpp>

namespace cairn {

/// Up to here a payload is digested on the spot: handing it over would cost more.
inline constexpr std::size_t small_payload_bytes = 32 * 1024;

/// Sends the verdicts to the writer.
digester_actor::behavior_type digester(digester_actor::pointer self, writer_actor writer);

} // namespace cairn
