{{- define "stream-scorer.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels by which a workload is chosen. Pods bear no others, so that a new chart alone rolls nothing. Takes (list root job). */}}
{{- define "stream-scorer.selector" -}}
app.kubernetes.io/name: stream-scorer
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "stream-scorer.labels" -}}
{{ include "stream-scorer.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end }}

{{/* Settings as variables, in every pod template: a change of settings rolls the pods by itself. */}}
{{- define "stream-scorer.settings" -}}
- name: STREAM_SCORER_LOG__FORMAT
  value: json
- name: STREAM_SCORER_METRICS__ADDRESS
  value: "0.0.0.0"
- name: STREAM_SCORER_METRICS__PORT
  value: {{ .Values.metricsPort | quote }}
- name: STREAM_SCORER_BUFFER__FOLDER
  value: {{ .Values.buffer.folder | quote }}
{{- range $section, $settings := .Values.settings }}
{{- range $name, $value := $settings }}
{{- if not (and (eq $section "redis") (eq $name "url") $.Values.existingSecrets.redisUrl.name) }}
- name: STREAM_SCORER_{{ upper $section }}__{{ upper $name }}
  value: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ $value | toJson | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $variable, $secret := dict "KAFKA__SECRETS" .Values.existingSecrets.kafka "REDIS__URL" .Values.existingSecrets.redisUrl "REDIS__SIGNING_KEY" .Values.existingSecrets.signingKey "WIRE__REGISTRY" .Values.existingSecrets.registry }}
{{- if $secret.name }}
- name: STREAM_SCORER_{{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ $secret.name }}, key: {{ $secret.key }}}}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What every pod has: nothing of root, nothing of the cluster's interface. */}}
{{- define "stream-scorer.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.serviceAccount.name }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Takes (list root image). */}}
{{- define "stream-scorer.container" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 -}}
image: {{ printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "stream-scorer.probes" -}}
# until the first round of a loop, or until a door reads: brokers may take a minute to answer
startupProbe:
  httpGet: {path: /startupz, port: metrics}
  periodSeconds: 2
  failureThreshold: 60
# a broker or a Redis that is away is no fault of the pod, a loop that stands still is
livenessProbe:
  httpGet: {path: /livez, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/* Pods of a component keep to different nodes where they can. Takes (list root component). */}}
{{- define "stream-scorer.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "stream-scorer.selector" . | nindent 8 }}
{{- end }}

{{/* Takes (list root component). */}}
{{- define "stream-scorer.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "stream-scorer.name" (index . 0) }}-{{ index . 1 }}
  labels: {{ include "stream-scorer.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ (index . 0).Values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels: {{ include "stream-scorer.selector" . | nindent 6 }}
{{- end }}

{{/* A streaming job. Takes (list root job command values). */}}
{{- define "stream-scorer.workload" -}}
{{- $root := index . 0 }}
{{- $job := index . 1 }}
{{- $command := index . 2 }}
{{- $values := index . 3 }}
{{- $name := printf "%s-%s" (include "stream-scorer.name" $root) $job }}
{{- $own := list $root $job }}
{{- $scaled := and $root.Values.keda.enabled (hasKey $values "autoscaling") }}
{{- $stored := and (eq $job "buffer") $values.claim -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  labels: {{ include "stream-scorer.labels" $own | nindent 4 }}
spec:
  serviceName: {{ include "stream-scorer.name" $root }}
  podManagementPolicy: Parallel
  {{- if not $scaled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  selector:
    matchLabels: {{ include "stream-scorer.selector" $own | nindent 6 }}
  template:
    metadata:
      labels: {{ include "stream-scorer.selector" $own | nindent 8 }}
      {{- with $root.Values.podAnnotations }}
      annotations: {{ toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "stream-scorer.pod" $root | nindent 6 }}
      {{- include "stream-scorer.spread" $own | nindent 6 }}
      containers:
        - name: {{ $job }}
          {{- include "stream-scorer.container" (list $root $root.Values.image) | nindent 10 }}
          args: [{{ $command }}]
          env:
            # the pod's name, which its successor has too: it settles at once the transaction that a killed pod left open
            - name: STREAM_SCORER_LOOP__INSTANCE
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
            {{- include "stream-scorer.settings" $root | nindent 12 }}
          ports:
            - {name: metrics, containerPort: {{ $root.Values.metricsPort }}}
          {{- include "stream-scorer.probes" . | nindent 10 }}
          resources: {{ toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if $stored }}
            - {name: data, mountPath: /data}
            {{- end }}
            {{- with $root.Values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 256Mi}
        {{- if $stored }}
        - name: data
          persistentVolumeClaim: {claimName: {{ $values.claim }}}
        {{- end }}
        {{- with $root.Values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}

{{/* A JSON list of the metrics pages of workers that are there whatever the load is; 50 at most, which ui.workers takes. */}}
{{- define "stream-scorer.metricsPages" -}}
{{- $pages := list }}
{{- range $job := list "rankers" "joiners" "buffer" "refresh" }}
{{- $values := index $.Values $job }}
{{- if $values.enabled }}
{{- $count := ternary (dig "autoscaling" "minReplicas" 1 $values) $values.replicas (and $.Values.keda.enabled (hasKey $values "autoscaling")) }}
{{- range $number := until (int $count) }}
{{- $pages = append $pages (printf "http://%s-%s-%d.%s:%d/metrics" (include "stream-scorer.name" $) $job $number (include "stream-scorer.name" $) (int $.Values.metricsPort)) }}
{{- end }}
{{- end }}
{{- end }}
{{- slice $pages 0 (min 50 (len $pages)) | toJson }}
{{- end }}
