/// A host's port before peers that mean no good: garbage, silence, greed, wrong certificates. The node serves
/// others all the while, and what it costs is bounded. CAIRN_GARBAGE_SECONDS and CAIRN_FLOOD_MIB make it
/// long.

#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/support/process_memory.hpp"
#include "tests/support/raw_peer.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

namespace cairn {
namespace {

using namespace harness;
using namespace std::chrono_literals;
namespace basp = caf::io::basp;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const auto* given = std::getenv(variable);
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

/// Sockets that a process has open, listening ones among them.
std::size_t sockets_of(pid_t pid) {
  std::error_code gone; // a descriptor that is closed in between
  return static_cast<std::size_t>(
    std::ranges::count_if(std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", pid)),
                          [&](const std::filesystem::directory_entry& entry) {
                            return std::filesystem::read_symlink(entry, gone).string().starts_with("socket:");
                          }));
}

class ExposureTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    let_programs_free_at_once();
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
  }

  static void expect_serves(client& node, const std::string& key) {
    const auto object = make_object(node, key, {5'000});
    EXPECT_EQ(archive(node, object).result, errc::success) << key;
    EXPECT_TRUE(retrieve(node, key).bytes == content_of(object)) << key;
  }
};

TEST_F(ExposureTest, GarbageOnThePortCostsLittleAndTheNodeServesThroughout) {
  const auto seed = number_from("CAIRN_SEED", std::random_device{}());
  SCOPED_TRACE(testing::Message() << "CAIRN_SEED=" << seed);
  std::mt19937_64 random(seed);
  host_process host({.arguments = {"--handshake-limit=2000", "--log-level=error"}});
  coordinator gateway(host);
  const auto client = gateway.connect();
  const auto& port = host.direct_address();
  forger forged(gateway.system());
  for (int i = 0; i < 20; ++i)
    expect_serves(*client, "warm-up");
  const auto before = resident_kib(host.pid());

  constexpr std::size_t open_at_once = 1'000;
  std::vector<std::unique_ptr<raw_peer>> open;
  std::vector<std::size_t> open_at_node; // after each round
  std::uint64_t opened = 0;
  std::uint64_t inputs = 0;
  std::uint64_t delivered = 0;
  const auto until =
    std::chrono::steady_clock::now() + std::chrono::seconds(number_from("CAIRN_GARBAGE_SECONDS", 5));
  do {
    std::erase_if(open, [](const auto& peer) { return peer->is_ended(); });
    for (; open.size() < open_at_once; ++opened)
      open.push_back(std::make_unique<raw_peer>(port));
    for (int i = 0; i < 50; ++i) {
      auto& peer = open[random() % open.size()];
      const auto say = [&](const std::string& bytes) {
        ++inputs;
        delivered += peer->send(bytes) ? 1 : 0;
      };
      std::string bytes(1 + random() % 200, '\0');
      switch (random() % 6) {
        case 0: // random bytes
          for (auto& byte : bytes)
            byte = static_cast<char>(random());
          say(bytes);
          break;
        case 1: // a header of the right kind and of 4 GiB
          say(forged.header(basp::message_type::client_handshake, 0xFFFFFFFF, 0, 0));
          break;
        case 2: // greeted, then a message of 4 GiB
          say(forged.handshake() + forged.header(basp::message_type::direct_message, 0xFFFFFFFF, 1, 1));
          break;
        case 3: // greeted, then the begin of the largest message that may be
          say(forged.handshake() + forged.header(basp::message_type::direct_message, 17U << 20U, 1, 1)
              + bytes);
          break;
        case 4: // slow bytes
          say(forged.handshake().substr(0, 1));
          break;
        default: // gone in the middle of it
          say(forged.handshake().substr(0, 1 + random() % 40));
          peer = std::make_unique<raw_peer>(port);
          ++opened;
      }
    }
    expect_serves(*client, "during");
    open_at_node.push_back(sockets_of(host.pid()));
  } while (std::chrono::steady_clock::now() < until);

  const auto after = resident_kib(host.pid(), true);
  std::ranges::sort(open_at_node);
  const auto rounds = open_at_node.size();
  const auto median = open_at_node[rounds / 2];
  fmt::print(
    "garbage rounds={} opened={} inputs={} delivered={} node_sockets_least={} node_sockets_median={} "
    "resident_kib_before={} resident_kib_peak={}\n",
    rounds, opened, inputs, delivered, open_at_node.front(), median, before, after);
  EXPECT_GE(median, open_at_once * 9 / 10) << "too few were open to show anything";
  EXPECT_GT(delivered, inputs / 2);
  EXPECT_LT(after, before + 64 * 1024);
  open.clear();
  expect_serves(*client, "after");
  expect_serves(*gateway.connect(), "a newcomer");
}

TEST_F(ExposureTest, ClientThatReadsNoReplyDoesNotGrowTheNodeNorStopOthers) {
  host_process host({.arguments = {"--log-level=error"}});
  coordinator gateway(host);
  const auto client = gateway.connect();
  const auto node = gateway.ask<found_node>(gateway.host(), find_node{wire_version, {}}).node;
  forger forged(gateway.system());
  raw_peer greedy(host.direct_address());
  ASSERT_TRUE(greedy.send(forged.handshake() + forged.request(node.id(), hello{})));

  std::atomic<bool> is_over{false};
  const auto flood_mib = number_from("CAIRN_FLOOD_MIB", 256);
  std::uint64_t sent_mib = 0;
  auto object = make_object(*client, "flood", {1U << 20U});
  std::thread flood([&] {
    for (; sent_mib < flood_mib; ++sent_mib) {
      object.segment.version = client->next_unified_id();
      if (!greedy.send(forged.request(node.id(), entire_of(object))))
        break;
    }
    is_over = true;
  });
  const auto other = gateway.connect();
  expect_serves(*other, "before it weighs");
  const auto before = resident_kib(host.pid()); // much of it is the sanitizer's, where there is one
  std::uint64_t served = 0;
  std::size_t largest = 0;
  while (!is_over) {
    expect_serves(*other, "beside the flood");
    ++served;
    largest = std::max(largest, resident_kib(host.pid()));
  }
  flood.join();
  fmt::print("flood sent_mib={} served_beside={} resident_kib_before={} largest_resident_kib={}\n", sent_mib,
             served, before, largest);
  EXPECT_EQ(sent_mib, flood_mib) << "the node took no more of it";
  // One client's window, what the transport holds for it, and the other's objects.
  EXPECT_LT(largest, before + 128U * 1024U);
  EXPECT_GT(served, 0U);
}

TEST_F(ExposureTest, WrongCertificatesAreRefusedWithinSecondsAndLeaveNothing) {
  host_process host({.tls = true, .arguments = {"--log-level=error"}});
  certificates elsewhere;
  auto& authority = host.authority();
  const auto good = authority.of("client");
  const auto stranger = authority.of("stranger"); // of the authority, but nobody that may connect
  const auto foreign = elsewhere.of("client");
  const auto expired = authority.expired("late");
  const auto port = to_string(host.direct_address());
  const auto shake_hands = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"/usr/bin/openssl", "s_client", "-connect", port, "-tls1_2", "-CAfile", good.ca});
    const auto begun = std::chrono::steady_clock::now();
    const auto outcome = run_program(more);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
    return outcome;
  };
  const auto with = [](const certificate_files& files) {
    return std::vector<std::string>{"-cert", files.certificate, "-key", files.key};
  };
  coordinator gateway(host);
  const auto client = gateway.connect();
  EXPECT_EQ(shake_hands(with(good)).exit_code, 0) << "or the rest tells nothing";
  const auto try_all = [&] {
    EXPECT_NE(shake_hands({}).exit_code, 0) << "no certificate";
    EXPECT_NE(shake_hands(with(foreign)).exit_code, 0) << "of another authority";
    EXPECT_NE(shake_hands(with(expired)).exit_code, 0) << "expired";
    shake_hands(with(stranger)); // its handshake is good: it is refused after it
    raw_peer plain(host.direct_address());
    plain.send(std::string(100, 'x'));
  };
  for (int i = 0; i < 4; ++i)
    try_all();
  const auto before = resident_kib(host.pid());
  for (int i = 0; i < 40; ++i) // 200 tries
    try_all();
  const auto after = resident_kib(host.pid());
  fmt::print("refused resident_kib before={} after={}\n", before, after);
  EXPECT_LT(after, before + 16 * 1024);
  expect_serves(*client, "after");
  expect_serves(*gateway.connect(), "a newcomer");
}

TEST_F(ExposureTest, TlsAgainstAPlainPortIsRefused) {
  host_process host;
  const auto outcome =
    run_program({"/usr/bin/openssl", "s_client", "-connect", to_string(host.direct_address())});
  EXPECT_NE(outcome.exit_code, 0);
  coordinator gateway(host);
  expect_serves(*gateway.connect(), "after");
}

TEST_F(ExposureTest, CertificatesAreReadAnewOnSighup) {
  host_process host({.tls = true});
  coordinator gateway(host);
  const auto client = gateway.connect();
  ASSERT_EQ(::kill(host.pid(), SIGHUP), 0);
  host.wait_for_log("certificates_reloaded");
  expect_serves(*client, "an open connection goes on");
  expect_serves(*gateway.connect(), "a new one");
  const auto files = host.authority().of("node-1");
  const auto kept = read_file(files.certificate);
  write_file(files.certificate, "no certificate");
  ASSERT_EQ(::kill(host.pid(), SIGHUP), 0);
  host.wait_for_log("certificates_not_reloaded");
  write_file(files.certificate, kept);
  coordinator another(host);
  expect_serves(*another.connect(), "the old ones stay in use");
}

TEST_F(ExposureTest, BeyondLoopbackNeedsTlsOrAWord) {
  const auto outcome =
    run_program({program_path("cairnd"), "--data-dir=/tmp/never-made", "--listen=0.0.0.0:0"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.errors.find("--insecure"), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find("--tls-ca"), std::string::npos) << outcome.errors;
}

} // namespace
} // namespace cairn
