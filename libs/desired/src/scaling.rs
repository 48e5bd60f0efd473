//! How the number of pods follows the load.

use fundbond_crds::FundCluster;
use k8s_openapi::{
    api::autoscaling::v2::{
        CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
        HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec,
        MetricTarget, PodsMetricSource, ResourceMetricSource,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    meta::{Component, meta},
    names::Names,
    pods::Group,
};

/// The autoscaler of a group of pods, where that is asked for.
pub(crate) fn of(cluster: &FundCluster, names: &Names, group: &Group) -> Option<HorizontalPodAutoscaler> {
    let autoscaling = cluster.spec.pods.autoscaling.as_ref()?;
    let name = names.pods(group.name.as_deref());
    // A shard group keeps at least the pods that it was given.
    let least = if group.name.is_some() { group.replicas.max(1) } else { autoscaling.min_replicas };
    let mut metrics = vec![MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(autoscaling.cpu_utilization),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }];
    let custom = autoscaling.custom_metrics.iter();
    metrics.extend(custom.flat_map(|custom| {
        let streams = custom.streams_per_pod.map(|target| ("fund_streams_open", target));
        let backlog = custom.backlog_per_pod.map(|target| ("fund_tasks_waiting", target));
        streams.into_iter().chain(backlog).map(|(name, target)| own(name, target))
    }));
    Some(HorizontalPodAutoscaler {
        metadata: meta(cluster, names, name.clone(), Component::Pods, group.name.as_deref()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name,
            },
            min_replicas: Some(least),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(metrics),
            behavior: Some(calm()),
        }),
        status: None,
    })
}

/// A figure of the pods themselves.
fn own(name: &str, target: i32) -> MetricSpec {
    MetricSpec {
        type_: "Pods".to_owned(),
        pods: Some(PodsMetricSource {
            metric: MetricIdentifier { name: name.to_owned(), selector: None },
            target: MetricTarget {
                type_: "AverageValue".to_owned(),
                average_value: Some(Quantity(target.to_string())),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

/// A pod that goes sends its streams to the others: not because of one quiet minute, and not many at a time.
fn calm() -> HorizontalPodAutoscalerBehavior {
    HorizontalPodAutoscalerBehavior {
        scale_down: Some(HPAScalingRules {
            stabilization_window_seconds: Some(300),
            policies: Some(vec![HPAScalingPolicy {
                type_: "Percent".to_owned(),
                value: 25,
                period_seconds: 60,
            }]),
            ..HPAScalingRules::default()
        }),
        scale_up: None,
    }
}
