package main

import (
	"context"

	"github.com/segmentio/kafka-go"
)

func kafkaGo(stopping context.Context, one member) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{one.address}, Topic: one.topic, GroupID: one.group, StartOffset: kafka.FirstOffset,
		SessionTimeout: one.session, RebalanceTimeout: one.session, HeartbeatInterval: heartbeat, MaxWait: fetchWait,
		JoinGroupBackoff: restartWait, QueueCapacity: batch,
		ErrorLogger: kafka.LoggerFunc(logf),
	})
	for {
		record, err := reader.FetchMessage(stopping)
		if err != nil {
			break
		}
		show(record.Partition, record.Offset, record.Value)
		note("commit", reader.CommitMessages(context.WithoutCancel(stopping), record))
	}
	note("close", reader.Close())
}
