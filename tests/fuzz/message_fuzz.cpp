/// What comes over a connection: frames through the guard, and each message type's decoding, checks and
/// encoding. An input's first byte says which.

#include "actors/interfaces.hpp"
#include "core/host_validation.hpp"
#include "core/validation.hpp"
#include "net/transport/frame_guard.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/io/basp/message_type.hpp>
#include <caf/message_id.hpp>

namespace {

using namespace cairn;

caf::actor_system& system() {
  static auto* config = new caf::actor_system_config;
  static auto* the_system = new caf::actor_system(*config); // for the life of the process
  return *the_system;
}

const validation_context& context() {
  static const node_directory nodes({{node_id{1}, "node-1", "", 0}, {node_id{2}, "node-2", "", 0}});
  static const node_limits limits;
  static const validation_context the_context{nodes, limits};
  return the_context;
}

template <class Message>
std::vector<char> bytes_of(Message& message) {
  std::vector<char> out;
  caf::binary_serializer sink(system(), out);
  fuzz::require(!sink(message));
  return out;
}

template <class Message>
void check(Message message) {
  if constexpr (requires { to_operation(std::move(message), context()); })
    (void)to_operation(std::move(message), context());
  else if constexpr (requires { validate(message, context()); })
    (void)validate(message, context());
  else if constexpr (requires { validate(message); })
    (void)validate(message);
}

/// What decodes must encode to what decodes to the same bytes, and be judged without harm.
template <class Message>
void decode(const char* bytes, std::size_t size) {
  Message message;
  caf::binary_deserializer source(system(), bytes, size);
  if (source(message))
    return;
  const auto once = bytes_of(message);
  Message again;
  caf::binary_deserializer second(system(), once.data(), once.size());
  fuzz::require(!second(again));
  fuzz::require(bytes_of(again) == once);
  check(std::move(message));
}

template <class... Messages>
struct message_list {
  static constexpr std::size_t count = sizeof...(Messages);
  static void decode_nth(std::size_t n, const char* bytes, std::size_t size) {
    std::size_t i = 0;
    ((i++ == n ? decode<Messages>(bytes, size) : void()), ...);
  }
};

using all_messages =
  message_list<hello, hello_reply, archive_key_entire, archive_key_start, archive_key_next, archive_key_final,
               sync_value_file, archive_key_cancel, destroy_key, start_conjoined_archive,
               abort_conjoined_archive, finish_conjoined_archive, gateway_start, purge, add_node,
               archive_reply, retrieve_start, retrieve_next, retrieve_reply, lookup, lookup_reply, list_keys,
               list_reply, list_versions, list_handoffs, handoff_reply, list_nodes, nodes_reply, get_status,
               status_reply, heartbeat, find_node, list_hosted, hosted_nodes, start_node, node_started,
               end_node, node_ended>;

constexpr std::uint32_t max_frame_bytes = 1U << 20U;

/// What may be in a message's header without harm to CAF.
void check_number(std::uint64_t number, frame_role role) {
  const caf::message_id id(number);
  fuzz::require(id.is_urgent_message() || id.is_normal_message());
  fuzz::require(!id.is_answered());
  fuzz::require(role == frame_role::client || !id.is_response());
}

/// A guard that has let its peer's handshake pass.
frame_guard greeted(frame_role role) {
  constexpr std::size_t node_bytes = 32;
  std::string header(frame_guard::header_bytes, '\0');
  header[0] = static_cast<char>(role == frame_role::server ? caf::io::basp::message_type::client_handshake
                                                           : caf::io::basp::message_type::server_handshake);
  header[7] = node_bytes;
  std::string node(node_bytes, 'p');
  for (unsigned i = 0; i < 8; ++i) // the kind of node ids that are, as a number in network order
    node[i] = static_cast<char>(static_cast<std::uint64_t>(caf::atom("default")) >> (56 - 8 * i));
  frame_guard guard(role, max_frame_bytes, std::string(node_bytes, 'x'));
  frame_header read;
  fuzz::require(guard.judge_header(header, read) == frame_verdict::pass);
  fuzz::require(guard.judge_payload(read, node) == frame_verdict::pass);
  return guard;
}

/// One message, its number first.
void judge_numbered(const char* bytes, std::size_t size, frame_role role) {
  constexpr std::size_t number_bytes = 8;
  if (size <= number_bytes || size - number_bytes > 0xFFFF)
    return;
  const auto payload = std::span(bytes, size).subspan(number_bytes);
  std::string header(frame_guard::header_bytes, '\0');
  header[0] = static_cast<char>(caf::io::basp::message_type::direct_message);
  header[6] = static_cast<char>(payload.size() >> 8U);
  header[7] = static_cast<char>(payload.size());
  std::copy_n(bytes, number_bytes, header.begin() + 8);
  header[23] = 3; // from
  header[31] = 7; // to
  auto guard = greeted(role);
  frame_header read;
  if (guard.judge_header(header, read) != frame_verdict::pass)
    return;
  check_number(read.operation_data, role);
  (void)guard.judge_payload(read, payload);
}

/// Frames one after the other, as a connection cuts them.
void judge(const char* bytes, std::size_t size, frame_role role) {
  frame_guard guard(role, max_frame_bytes, std::string(32, 'x'));
  std::span<const char> rest(bytes, size);
  while (rest.size() >= frame_guard::header_bytes) {
    frame_header header;
    if (guard.judge_header(rest.first(frame_guard::header_bytes), header) != frame_verdict::pass)
      return;
    fuzz::require(header.payload_bytes <= max_frame_bytes);
    if (header.operation == static_cast<std::uint8_t>(caf::io::basp::message_type::direct_message))
      check_number(header.operation_data, role);
    rest = rest.subspan(frame_guard::header_bytes);
    if (header.payload_bytes > rest.size())
      return;
    if (header.payload_bytes != 0
        && guard.judge_payload(header, rest.first(header.payload_bytes)) == frame_verdict::close)
      return;
    rest = rest.subspan(header.payload_bytes);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size == 0)
    return 0;
  const auto* bytes = reinterpret_cast<const char*>(input) + 1;
  const auto which = input[0] % (all_messages::count + 4);
  if (which < all_messages::count) {
    all_messages::decode_nth(which, bytes, size - 1);
    return 0;
  }
  const auto way = which - all_messages::count;
  const auto role = way % 2 == 0 ? frame_role::server : frame_role::client;
  if (way < 2)
    judge(bytes, size - 1, role);
  else
    judge_numbered(bytes, size - 1, role);
  return 0;
}
