/// What a host takes for a spawned node's start, and why it refuses the rest.

#include "core/host_validation.hpp"

#include <filesystem>
#include <functional>

#include <gtest/gtest.h>
#include <unistd.h>

namespace cairn {
namespace {

namespace fs = std::filesystem;

class HostValidationTest : public ::testing::Test {
protected:
  HostValidationTest() {
    std::string name = fs::temp_directory_path() / "cairn-roots-XXXXXX";
    base_ = fs::canonical(::mkdtemp(name.data()));
    fs::create_directories(base_ / "allowed" / "there");
    fs::create_directories(base_ / "elsewhere");
    fs::create_directories(base_ / "allowed-not"); // shares a prefix of letters, not of directories
    rules_.cluster = "trial";
    rules_.root = base_ / "allowed";
    rules_.defaults.reserve_percent = 7;
    message_.name = "node-2";
    message_.node = node_id{2};
    message_.root = "there/n2";
  }
  ~HostValidationTest() override { fs::remove_all(base_); }

  result<node_settings> check() { return to_settings(message_, rules_); }

  fs::path base_;
  spawn_rules rules_;
  start_node message_;
};

TEST_F(HostValidationTest, CompletesAStart) {
  message_.database = "host=/somewhere";
  message_.sync_interval_ms = 5;
  message_.idle_limit_ms = 200;
  message_.max_value_file_bytes = 2U << 20U;
  message_.limits.max_sequence_bytes = 1U << 20U;
  const auto settings = check();
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->data_directory, base_ / "allowed/there/n2");
  EXPECT_EQ(settings->cluster_name, "trial");
  EXPECT_EQ(settings->node_name, "node-2");
  EXPECT_EQ(settings->id, node_id{2});
  EXPECT_EQ(settings->database, "host=/somewhere");
  EXPECT_EQ(settings->sync_interval, std::chrono::milliseconds{5});
  EXPECT_EQ(settings->idle_limit, std::chrono::milliseconds{200});
  EXPECT_EQ(settings->max_value_file_bytes, 2U << 20U);
  EXPECT_EQ(settings->limits.max_sequence_bytes, 1U << 20U);
  EXPECT_EQ(settings->reserve_percent, 7U) << "the host's own";
}

struct refused_field {
  const char* what; ///< a word of the text that says so
  errc code;
  std::function<void(start_node&)> spoil;
};

TEST_F(HostValidationTest, NamesTheFieldThatDoesNotFit) {
  const refused_field cases[] = {
    {"wire version", errc::version_mismatch, [](auto& m) { m.version = wire_version + 1; }},
    {"cluster", errc::not_allowed, [](auto& m) { m.cluster = "other"; }},
    {"node name", errc::invalid_message, [](auto& m) { m.name = ""; }},
    {"node name", errc::invalid_message, [](auto& m) { m.name = "a/b"; }},
    {"node name", errc::invalid_message, [](auto& m) { m.name = std::string(64, 'n'); }},
    {"node number", errc::invalid_message, [](auto& m) { m.node = node_id{0}; }},
    {"node number", errc::invalid_message, [](auto& m) { m.node = node_id{-1}; }},
    {"root", errc::invalid_message, [](auto& m) { m.root = ""; }},
    {"root", errc::invalid_message, [](auto& m) { m.root = std::string("a\0b", 3); }},
    {"root", errc::invalid_message, [](auto& m) { m.root = std::string(max_root_bytes + 1, 'r'); }},
    {"database", errc::invalid_message, [](auto& m) { m.database = std::string("a\0b", 3); }},
    {"database", errc::invalid_message,
     [](auto& m) { m.database = std::string(max_database_bytes + 1, 'd'); }},
    {"sync_interval_ms", errc::invalid_message, [](auto& m) { m.sync_interval_ms = 0; }},
    {"sync_interval_ms", errc::invalid_message, [](auto& m) { m.sync_interval_ms = 3'600'001; }},
    {"idle_limit_ms", errc::invalid_message, [](auto& m) { m.idle_limit_ms = 99; }},
    {"idle_limit_ms", errc::invalid_message, [](auto& m) { m.idle_limit_ms = -1; }},
    {"max_value_file_bytes", errc::invalid_message,
     [](auto& m) { m.max_value_file_bytes = (1U << 20U) - 1; }},
    {"max_value_file_bytes", errc::invalid_message,
     [](auto& m) { m.max_value_file_bytes = ~std::uint64_t{0}; }},
    {"max_sequence_bytes", errc::invalid_message, [](auto& m) { m.limits.max_sequence_bytes = 0; }},
    {"max_sequence_bytes", errc::invalid_message,
     [](auto& m) { m.limits.max_sequence_bytes = (16U << 20U) + 1; }},
    {"client_window_bytes", errc::invalid_message,
     [](auto& m) { m.limits.client_window_bytes = m.limits.max_sequence_bytes - 1; }},
    {"client_window_bytes", errc::invalid_message,
     [](auto& m) { m.limits.client_window_bytes = m.limits.total_window_bytes + 1; }},
    {"total_window_bytes", errc::invalid_message,
     [](auto& m) { m.limits.total_window_bytes = ~std::uint64_t{0}; }},
    {"on_coordinator_loss", errc::invalid_message,
     [](auto& m) { m.on_coordinator_loss = static_cast<coordinator_loss>(2); }},
  };
  const auto good = message_;
  for (const auto& wrong : cases) {
    message_ = good;
    wrong.spoil(message_);
    const auto settings = check();
    ASSERT_FALSE(settings) << wrong.what;
    EXPECT_EQ(settings.error().code, wrong.code) << settings.error().message;
    EXPECT_NE(settings.error().message.find(wrong.what), std::string::npos) << settings.error().message;
  }
}

TEST_F(HostValidationTest, TakesTheBoundsThemselves) {
  message_.cluster = "trial";
  message_.name = std::string(63, 'n');
  for (const bool high : {false, true}) {
    message_.sync_interval_ms = high ? 3'600'000 : 1;
    message_.idle_limit_ms = high ? 86'400'000 : 100;
    message_.max_value_file_bytes = high ? 1ULL << 40U : 1ULL << 20U;
    message_.limits.max_sequence_bytes = high ? 16U << 20U : 1;
    message_.limits.client_window_bytes = high ? 4ULL << 30U : 1;
    message_.limits.total_window_bytes = high ? 4ULL << 30U : 1;
    const auto settings = check();
    EXPECT_TRUE(settings) << settings.error().message;
  }
}

TEST_F(HostValidationTest, WithoutARootNothingIsSpawned) {
  rules_.root.clear();
  const auto settings = check();
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().code, errc::not_allowed);
}

TEST_F(HostValidationTest, RootsLieBelowTheAllowedOne) {
  fs::create_directory_symlink(base_ / "elsewhere", base_ / "allowed/out");
  fs::create_directory_symlink("there", base_ / "allowed/in");
  fs::create_directory_symlink("../..", base_ / "allowed/there/up");
  fs::create_directory_symlink(base_ / "allowed", base_ / "elsewhere/back");
  const auto at = [&](const char* path) { return (base_ / path).string(); };
  const std::pair<std::string, std::string> cases[] = {
    // where it is; empty = not allowed
    {"n", at("allowed/n")},
    {"a/b/c", at("allowed/a/b/c")},
    {"./n/", at("allowed/n")},
    {"a/../n", at("allowed/n")},
    {at("allowed/n"), at("allowed/n")},
    {at("elsewhere/back/n"), at("allowed/n")},
    {"in/n", at("allowed/there/n")},
    {"in/../n", at("allowed/n")},
    {"../allowed/n", at("allowed/n")},
    {".", {}},
    {"n/..", {}},
    {"..", {}},
    {"../..", {}},
    {"../../../../../../..", {}},
    {"../allowed-not/n", {}},
    {at("allowed"), {}},
    {at("allowed-not"), {}},
    {at("elsewhere/n"), {}},
    {"/", {}},
    {"out", {}},
    {"out/n", {}},
    {"there/up/n", {}},
    {"in/../../elsewhere", {}},
    {"out/../n", {}}, // `..` of where the symlink led, as the kernel takes it
  };
  for (const auto& [asked, where] : cases) {
    const auto directory = resolve_spawn_root(asked, rules_.root);
    EXPECT_EQ(directory.has_value(), !where.empty()) << asked;
    if (directory)
      EXPECT_EQ(*directory, where) << asked;
    else
      EXPECT_EQ(directory.error().code, errc::not_allowed) << asked << ": " << directory.error().message;
  }
}

TEST_F(HostValidationTest, ARootThroughASymlinkToNowhereIsRefused) {
  fs::create_directory_symlink(base_ / "not-yet", base_ / "allowed/dangling");
  fs::create_directory_symlink("loop", base_ / "allowed/loop");
  for (const auto* asked : {"dangling", "dangling/n", "loop/n"})
    EXPECT_FALSE(resolve_spawn_root(asked, rules_.root)) << asked;
}

TEST_F(HostValidationTest, TheAllowedRootMayBeASymlinkItself) {
  fs::create_directory_symlink(base_ / "allowed", base_ / "link");
  const auto directory = resolve_spawn_root("n", base_ / "link");
  ASSERT_TRUE(directory);
  EXPECT_EQ(*directory, base_ / "allowed/n");
  EXPECT_TRUE(resolve_spawn_root((base_ / "allowed/n").string(), base_ / "link"));
}

TEST_F(HostValidationTest, DirectoriesOverlapWhenOneHoldsTheOther) {
  EXPECT_TRUE(overlap("/a/b", "/a/b"));
  EXPECT_TRUE(overlap("/a/b", "/a/b/c"));
  EXPECT_TRUE(overlap("/a/b/c", "/a/b"));
  EXPECT_TRUE(overlap("/", "/a"));
  EXPECT_FALSE(overlap("/a/b", "/a/bc"));
  EXPECT_FALSE(overlap("/a/b", "/a/c"));
}

TEST_F(HostValidationTest, ARepeatIsEqualInEverythingThatAStartSays) {
  const auto first = check();
  ASSERT_TRUE(first);
  const std::function<void(start_node&)> changes[] = {
    [](auto& m) { m.name = "node-3"; },
    [](auto& m) { m.node = node_id{3}; },
    [](auto& m) { m.root = "other"; },
    [](auto& m) { m.database = "host=/x"; },
    [](auto& m) { m.sync_interval_ms = 2; },
    [](auto& m) { m.idle_limit_ms = 101; },
    [](auto& m) { m.max_value_file_bytes = 2U << 20U; },
    [](auto& m) { m.limits.max_sequence_bytes = 5; },
    [](auto& m) { m.limits.client_window_bytes -= 1; },
    [](auto& m) { m.limits.total_window_bytes -= 1; },
  };
  const auto good = message_;
  message_.root = "./there/../there/n2"; // the same place
  EXPECT_TRUE(same_node(*first, *check()));
  for (const auto& change : changes) {
    message_ = good;
    change(message_);
    const auto other = check();
    ASSERT_TRUE(other) << other.error().message;
    EXPECT_FALSE(same_node(*first, *other)) << message_.name << message_.root;
  }
}

TEST(CoordinatorLossTest, HasWordsThatCanBeReadBack) {
  for (const auto what : {coordinator_loss::stop, coordinator_loss::go_on})
    EXPECT_EQ(parse_coordinator_loss(to_string(what)), what);
  EXPECT_FALSE(parse_coordinator_loss("stay"));
}

} // namespace
} // namespace cairn
