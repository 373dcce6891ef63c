/// A program of a cluster that speaks to a node over the network: archives an object, keeps what it needs to
/// repeat the request, and reads it back. The harness gives it a node to speak to.

#include "core/clock.hpp"
#include "core/digest.hpp"
#include "net/client.hpp"
#include "net/network.hpp"
#include "tests/harness/host_process.hpp"

#include <algorithm>
#include <cstdio>
#include <string_view>

#include <fmt/format.h>

namespace {

/// The whole object in one message. One of more than limits.max_sequence_bytes goes as archive_key_start,
/// archive_key_next ..., archive_key_final.
cairn::archive_key_entire describe(cairn::client& node, std::string key, std::string_view content) {
  const auto data = cairn::payload::copy_of(std::as_bytes(std::span(content)));
  const auto digests = cairn::digest_payload(data.bytes());
  cairn::archive_key_entire request;
  request.segment.collection = cairn::collection_id{1};
  request.segment.key = std::move(key);
  request.segment.version = node.next_unified_id(); // larger than all before: a new version
  request.segment.timestamp = cairn::now_us();
  request.segment.segment_num = 1; // an object that is not erasure-coded has one segment
  request.sequence = {0, static_cast<std::uint32_t>(data.size()), 0, digests.md5, digests.adler32};
  request.file = {static_cast<std::int64_t>(data.size()), digests.adler32, digests.md5};
  request.nodes.source = node.node().node; // who archives: any node that this one knows, see `cairn node add`
  request.meta["content-type"] = "text/plain";
  request.data = data;
  return request;
}

/// Sends the same request until the outcome is known: a repeat never stores a second time.
cairn::archive_reply archive(cairn::client& node, const cairn::archive_key_entire& request) {
  constexpr int attempts = 5;
  cairn::archive_reply out;
  for (int i = 0; i < attempts; ++i) {
    auto reply = node.call<cairn::archive_reply>(request);
    if (!reply) { // lost, or too late: it may have been stored
      out.result = cairn::errc::timed_out;
      out.error_message = reply.error().message;
      (void)node.wait_until_reachable(std::chrono::seconds{10});
      continue;
    }
    out = std::move(*reply);
    if (cairn::is_definite(out.result) || out.result == cairn::errc::success)
      break;
  }
  return out;
}

int run(const cairn::host_port& address) {
  const auto net = cairn::network::open(); // {.tls = {"ca.pem", "me.pem", "me.key"}} beyond one machine
  if (!net)
    return fmt::print(stderr, "network: {}\n", net.error().message), 1;
  const auto connected = cairn::client::connect((*net)->wire(), address);
  if (!connected)
    return fmt::print(stderr, "connect: {}\n", connected.error().message), 1;
  auto& node = **connected;

  const auto request = describe(node, "letters/1", "Dear reader");
  const auto stored = archive(node, request);
  if (stored.result != cairn::errc::success)
    return fmt::print(stderr, "archive: {}\n", stored.error_message), 1;
  fmt::print("durable: record {} of the log\n", stored.proof.lsn.value);

  cairn::retrieve_start question;
  question.segment = {request.segment.version, 0, 1, {}};
  const auto found =
    node.call<cairn::retrieve_reply>(question); // the first sequence; retrieve_next has others
  if (!found || found->result != cairn::errc::success)
    return fmt::print(stderr, "retrieve: {}\n", found ? found->error_message : found.error().message), 1;
  if (!std::ranges::equal(found->sequence.data.bytes(), request.data.bytes()))
    return fmt::print(stderr, "what came back is not what was stored\n"), 1;
  return 0;
}

} // namespace

int main() {
  cairn::harness::host_process host;
  return run(host.address());
}
