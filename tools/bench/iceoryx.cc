/* SPDX-License-Identifier: MIT */
/*
 * See peer_iceoryx.h; the transport is in peer_iceoryx.c.
 */
#include "peer_iceoryx.h"

#if __has_include(<iceoryx_posh/popo/untyped_publisher.hpp>)
#include <cstring>
#include <iostream>
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/iceoryx_posh_config.hpp>
#include <iceoryx_posh/internal/roudi/roudi.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/roudi/iceoryx_roudi_components.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <unistd.h>

using namespace iox;

static popo::UntypedPublisher *publisher;
static popo::UntypedSubscriber *subscriber;

static void say_less()
{
	/* Silence the messages on how much memory is reserved, and that RouDi is ready. */
	std::clog.rdbuf(nullptr);
	std::cout.rdbuf(nullptr);
	log::LogManager::GetLogManager().SetDefaultLogLevel(log::LogLevel::kError, log::LogLevelOutput::kHideLogLevel);
}

void iceoryx_daemon(size_t size, unsigned int chunks)
{
	auto group = posix::PosixGroup::getGroupOfCurrentProcess().getName();
	mepoo::MePooConfig pool;
	RouDiConfig_t config;

	say_less();
	pool.addMemPool({static_cast<uint32_t>(size), chunks});
	config.m_sharedMemorySegments.push_back({group, group, pool});
	static roudi::IceOryxRouDiComponents parts(config);
	static roudi::RouDi daemon(parts.rouDiMemoryManager, parts.portManager,
				   roudi::RouDi::RoudiStartupParameters{roudi::MonitoringMode::OFF, false});
	for (;;)
		pause();
}

static capro::ServiceDescription topic(const char *name)
{
	return {"venom", "bench", capro::IdString_t(cxx::TruncateToCapacity, name)};
}

void iceoryx_open(const char *name, const char *out, const char *in, unsigned int queue, bool discard)
{
	popo::PublisherOptions from;
	popo::SubscriberOptions to;

	say_less();
	runtime::PoshRuntime::initRuntime(RuntimeName_t(cxx::TruncateToCapacity, name));
	to.queueCapacity = queue;
	if (!discard) {
		from.subscriberTooSlowPolicy = popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
		to.queueFullPolicy = popo::QueueFullPolicy::BLOCK_PRODUCER;
	}
	if (out)
		publisher = new popo::UntypedPublisher(topic(out), from);
	if (in)
		subscriber = new popo::UntypedSubscriber(topic(in), to);
}

void iceoryx_close(void)
{
	delete publisher;
	delete subscriber;
}

bool iceoryx_connected(void)
{
	return (!publisher || publisher->hasSubscribers()) &&
	       (!subscriber || subscriber->getSubscriptionState() == SubscribeState::SUBSCRIBED);
}

bool iceoryx_send(const void *msg, size_t size)
{
	auto chunk = publisher->loan(size);

	if (chunk.has_error())
		return false;
	memcpy(chunk.value(), msg, size);
	publisher->publish(chunk.value());
	return true;
}

const void *iceoryx_take(void)
{
	auto chunk = subscriber->take();

	return chunk.has_error() ? nullptr : chunk.value();
}

void iceoryx_release(const void *chunk)
{
	subscriber->release(chunk);
}
#endif
